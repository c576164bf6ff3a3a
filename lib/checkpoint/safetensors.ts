import { DTYPE_BYTES, type DType } from '../dtype';
import { quote, refuse } from './codes';
import type { Contents } from './contents';
import { countOf, packedStrides } from './geometry';
import { HeaderFloat, HeaderObject, type HeaderValue, parseHeader } from './header-json';
import { PyDict, PyTensor } from './pickle/values';
import type { ByteSource } from './source';
import { PlainStorage } from './storage';

/** Element types of safetensors files that freqfusion has. */
export const SAFETENSORS_DTYPES: Readonly<Record<string, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

const MAX_HEADER = 100_000_000;
const MAX_RANK = 64;
const METADATA = '__metadata__';

interface Stretch {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads a safetensors file: eight bytes of header length, a JSON header, the data. The data must be covered by the
 * tensors exactly, as the format's own reader demands.
 */
export function readSafetensors(source: ByteSource): Contents {
  const header = readHeader(source);
  const data = header.end;
  const room = source.size - data;
  const root = new PyDict();
  const storages: PlainStorage[] = [];
  const stretches: Stretch[] = [];
  let texts: Record<string, string> = {};
  for (const [name, value] of header.object.entries) {
    if (name === METADATA) {
      texts = metadataOf(value);
      continue;
    }
    const { dtype, shape, begin, end } = checkEntry(name, value, room);
    const storage = new PlainStorage(source, name, data + begin, end - begin);
    root.set(name, new PyTensor({ dtype, shape, strides: packedStrides(shape), offset: 0, storage }));
    storages.push(storage);
    stretches.push({ name, begin, end });
  }
  checkCover(stretches, room);
  return { format: 'safetensors', root, storages, texts };
}

function readHeader(source: ByteSource): { object: HeaderObject; end: number } {
  const wrongLength = (actual: string) =>
    refuse('ERR_CHECKPOINT_SAFETENSORS_LENGTH', 'the safetensors header', 'a header inside the file', actual);
  if (source.size < 8) wrongLength(`a file of ${source.size} bytes`);
  const head = source.view(0, 8);
  const length = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER)) wrongLength(`${length} bytes; the format allows ${MAX_HEADER}`);
  const end = 8 + Number(length);
  if (end > source.size)
    wrongLength(`${length} bytes in a file of ${source.size}: it is cut, or no safetensors file`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(source.view(8, Number(length)));
  } catch {
    return refuse('ERR_CHECKPOINT_SAFETENSORS_JSON', 'the safetensors header', 'UTF-8', 'other bytes');
  }
  const object = parseHeader(text);
  if (!(object instanceof HeaderObject) || text[0] !== '{') {
    refuse('ERR_CHECKPOINT_SAFETENSORS_JSON', 'the safetensors header', 'a JSON object', 'another value');
  }
  return { object, end };
}

function metadataOf(value: HeaderValue): Record<string, string> {
  const pairs = value instanceof HeaderObject ? [...value.entries] : undefined;
  if (pairs === undefined || pairs.some(([, text]) => typeof text !== 'string')) {
    refuse('ERR_CHECKPOINT_SAFETENSORS_METADATA', METADATA, 'an object of texts', 'other values');
  }
  return Object.fromEntries(pairs as [string, string][]);
}

function checkEntry(name: string, value: HeaderValue, room: number) {
  const label = `tensor ${quote(name)}`;
  const keys = value instanceof HeaderObject ? [...value.entries.keys()].sort().join(' ') : 'none';
  if (!(value instanceof HeaderObject) || keys !== 'data_offsets dtype shape') {
    refuse('ERR_CHECKPOINT_SAFETENSORS_ENTRY', label, 'the keys dtype, shape and data_offsets', keys);
  }
  const type = value.entries.get('dtype');
  const dtype =
    typeof type === 'string' && Object.hasOwn(SAFETENSORS_DTYPES, type)
      ? SAFETENSORS_DTYPES[type]
      : undefined;
  if (dtype === undefined) {
    const expected = `one of ${Object.keys(SAFETENSORS_DTYPES).join(', ')}`;
    refuse(
      'ERR_CHECKPOINT_SAFETENSORS_DTYPE',
      `the dtype of ${label}`,
      expected,
      typeof type === 'string' ? quote(type) : 'no text',
    );
  }
  const shape = checkShape(label, value.entries.get('shape'));
  const [begin, end] = checkOffsets(label, value.entries.get('data_offsets'), room);
  const bytes = countOf(shape) * DTYPE_BYTES[dtype];
  if (bytes !== end - begin) {
    const actual = `data_offsets of ${end - begin}`;
    refuse(
      'ERR_CHECKPOINT_SAFETENSORS_SIZE',
      label,
      `${bytes} bytes for [${shape.join(', ')}] of ${dtype}`,
      actual,
    );
  }
  return { dtype, shape, begin, end };
}

function checkShape(label: string, value: HeaderValue | undefined): number[] {
  const sides = Array.isArray(value) ? (value as readonly HeaderValue[]) : undefined;
  if (sides === undefined || sides.length > MAX_RANK) {
    refuse(
      'ERR_CHECKPOINT_SAFETENSORS_SHAPE',
      `the shape of ${label}`,
      `a list of at most ${MAX_RANK} sizes`,
      'another value',
    );
  }
  let count = 1n;
  for (const side of sides) {
    if (typeof side !== 'bigint' || side < 0n) {
      const actual = side instanceof HeaderFloat ? side.text.slice(0, 30) : String(side);
      refuse('ERR_CHECKPOINT_SAFETENSORS_SHAPE', `the shape of ${label}`, 'integers from 0', actual);
    }
    // Sides of 0 do not hide the others: [2^60, 0] is refused as well.
    if (side !== 0n) count *= side;
  }
  if (count > BigInt(Number.MAX_SAFE_INTEGER)) {
    refuse('ERR_CHECKPOINT_SAFETENSORS_OVERFLOW', label, 'fewer than 2^53 elements', `[${sides.join(', ')}]`);
  }
  return sides.map(Number);
}

function checkOffsets(label: string, value: HeaderValue | undefined, room: number): [number, number] {
  const pair = Array.isArray(value) ? (value as readonly HeaderValue[]) : [];
  const [begin, end] = pair;
  const inside =
    typeof begin === 'bigint' &&
    typeof end === 'bigint' &&
    begin >= 0n &&
    begin <= end &&
    end <= BigInt(room);
  if (pair.length !== 2 || !inside) {
    const actual = pair.length === 2 ? `[${String(begin)}, ${String(end)}]` : 'another value';
    const expected = `two offsets in order, inside the ${room} bytes of data`;
    refuse('ERR_CHECKPOINT_SAFETENSORS_OFFSETS', `the data_offsets of ${label}`, expected, actual);
  }
  return [Number(begin), Number(end)];
}

function checkCover(stretches: Stretch[], room: number): void {
  stretches.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of stretches) {
    if (begin < at) {
      refuse(
        'ERR_CHECKPOINT_SAFETENSORS_OVERLAP',
        `tensor ${quote(name)}`,
        `data from ${at}`,
        `data from ${begin}`,
      );
    }
    if (begin > at) hole(at, begin);
    at = end;
  }
  if (at < room) hole(at, room);
}

function hole(from: number, to: number): never {
  const actual = `bytes ${from} to ${to} of no tensor`;
  refuse('ERR_CHECKPOINT_SAFETENSORS_HOLE', 'the data of the file', 'tensors that cover it', actual);
}
