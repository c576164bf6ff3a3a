import { describe, invalidArgument } from '../../errors';
import {
  type Datatype,
  type InferTensor,
  NUMERIC,
  type NumericDatatype,
  type NumericLayout,
  type TensorData,
} from './datatypes';

/** How the strings of a BYTES tensor stand for bytes in JSON. */
export type BytesEncoding = 'text' | 'base64';

/** What JSON says of a tensor. */
export interface JsonData {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Its elements in a row, or in lists nested as its dimensions are. */
  readonly data: unknown;
}

/**
 * Reads a tensor's data from JSON.
 * Throws ERR_REQUEST_SHAPE where the lists are not those of its shape, and ERR_REQUEST_VALUE for an element that its
 * datatype cannot have.
 */
export function readJsonData(tensor: JsonData, count: number, encoding: BytesEncoding): TensorData {
  const { name, datatype } = tensor;
  if (datatype === 'BYTES') {
    const elements: Uint8Array[] = [];
    walk(tensor, count, (value) => elements.push(bytesOf(value, name, encoding)));
    return elements;
  }
  const layout: NumericLayout = NUMERIC[datatype];
  if (layout.json === 'none') {
    throw invalidArgument('ERR_REQUEST_VALUE', name, `binary data: JSON has no ${datatype}`, tensor.data);
  }
  // All of it is checked before an array is made: a shape may ask for any size.
  const { fits, expected } = elementRule(datatype, layout);
  walk(tensor, count, (value) => {
    if (!fits(value)) throw invalidArgument('ERR_REQUEST_VALUE', name, expected, value);
  });
  const numbers = new layout.array(count);
  const big = layout.bytes === 8 && layout.json === 'integer';
  let at = 0;
  walk(tensor, count, (value) => {
    numbers[at] = (big ? BigInt(value as number) : Number(value)) as never;
    at += 1;
  });
  return numbers;
}

/** Visits every element, row-major. Throws ERR_REQUEST_SHAPE unless there are `count` of them, as the shape has them. */
function walk({ name, shape, data }: JsonData, count: number, take: (value: unknown) => void): void {
  if (!Array.isArray(data)) throw invalidArgument('ERR_REQUEST_SHAPE', name, 'a list of elements', data);
  if (!Array.isArray(data[0])) {
    if (data.length !== count) {
      const expected = `${count} elements in a row, or lists nested as [${shape.join(', ')}]`;
      throw invalidArgument('ERR_REQUEST_SHAPE', name, expected, `a list of ${data.length}`);
    }
    for (const value of data) take(value);
    return;
  }
  const descend = (list: unknown, dimension: number): void => {
    if (!Array.isArray(list) || list.length !== shape[dimension]) {
      const expected = `a list of ${shape[dimension]} in dimension ${dimension}`;
      const actual = Array.isArray(list) ? `a list of ${list.length}` : describe(list);
      throw invalidArgument('ERR_REQUEST_SHAPE', name, expected, actual);
    }
    if (dimension === shape.length - 1) for (const value of list) take(value);
    else for (const inner of list) descend(inner, dimension + 1);
  };
  descend(data, 0);
}

/** What JSON may have for an element of a datatype: a test, and its words. */
function elementRule(datatype: NumericDatatype, layout: NumericLayout) {
  if (layout.json === 'boolean') {
    return { fits: (value: unknown) => typeof value === 'boolean', expected: 'true or false' };
  }
  if (layout.json === 'number') return { fits: Number.isFinite, expected: 'finite numbers' };
  const min = Number(layout.min);
  const max = Number(layout.max);
  return {
    fits: (value: unknown) =>
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max,
    expected: `integers from ${layout.min} to ${layout.max}, ${datatype}`,
  };
}

function bytesOf(value: unknown, name: string, encoding: BytesEncoding): Uint8Array {
  if (typeof value !== 'string') {
    throw invalidArgument('ERR_REQUEST_VALUE', name, 'strings', value);
  }
  if (encoding === 'text') return Buffer.from(value, 'utf8');
  const padding = value.endsWith('==') ? 2 : value.endsWith('=') ? 1 : 0;
  const length = value.length - padding;
  const bytes = Buffer.from(value, 'base64');
  // What is no base64 is skipped in decoding: the length tells.
  if (length % 4 === 1 || bytes.length !== Math.floor((length * 3) / 4)) {
    throw invalidArgument('ERR_REQUEST_VALUE', name, 'strings of base64', value);
  }
  return bytes;
}

/** Elements of which JSON is made at a time, so that other requests get their turn between them. */
const SLICE = 65_536;

/** A tensor's data as JSON, in pieces; elements of BYTES are text. */
export function* writeJsonData({ datatype, data }: InferTensor): Generator<string, void, undefined> {
  yield '[';
  for (let start = 0; start < data.length; start += SLICE) {
    const slice = Array.from(data.slice(start, start + SLICE) as ArrayLike<unknown>, (value) =>
      toJson(value, datatype),
    );
    yield `${start === 0 ? '' : ','}${slice.join(',')}`;
  }
  yield ']';
}

function toJson(value: unknown, datatype: Datatype): string {
  if (datatype === 'BYTES') return JSON.stringify(Buffer.from(value as Uint8Array).toString('utf8'));
  if (datatype === 'BOOL') return value === 0 ? 'false' : 'true';
  // JSON has no NaN and no infinity.
  return typeof value === 'number' && !Number.isFinite(value) ? 'null' : String(value);
}
