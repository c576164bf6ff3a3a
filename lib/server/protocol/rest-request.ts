import { FreqFusionError, invalidArgument } from '../../errors';
import { readBinary } from './binary';
import { checkDatatype } from './datatypes';
import { type BytesEncoding, readJsonData } from './json-data';
import type { InferRequest, RequestTensor } from './request';
import { checkerOf, type InferRequestJson, InferRequestSchema } from './rest-schema';

/** A request that came over REST. */
export interface RestRequest extends InferRequest {
  readonly id: string | undefined;
  /** Whether an output is to follow the JSON as binary data. */
  binary(output: string): boolean;
}

/** Header with the length of the JSON before the binary data, of requests and answers. */
export const LENGTH_HEADER = 'inference-header-content-length';

/** Parameters of tensors that ask for what there is not. */
const NOT_OFFERED = ['shared_memory_region', 'classification'];

const checkJson = checkerOf(InferRequestSchema);

/**
 * Reads the body of a request: JSON, or JSON of the length that the header says with the binary data of its inputs
 * behind it, in their order. Nothing of the data is copied or converted yet.
 * Throws ERR_REQUEST, ERR_REQUEST_TENSOR, ERR_REQUEST_SHAPE or ERR_REQUEST_PARAMETER.
 */
export function readRestRequest(body: Uint8Array, length: string | undefined): RestRequest {
  const end = length === undefined ? body.length : lengthOf(length, body.length);
  const json = checkJson(parse(body.subarray(0, end)));
  const { inputs, offset } = readInputs(json, body, end, length !== undefined);
  if (offset !== body.length) {
    throw invalidArgument(
      'ERR_REQUEST_SHAPE',
      'the binary data',
      `${offset - end} bytes, as its inputs' binary_data_size say`,
      body.length - end,
    );
  }
  const parameters = new Map(Object.entries(json.parameters ?? {}));
  const allBinary = flag(parameters.get('binary_data_output'), 'parameters.binary_data_output') ?? false;
  const binary = new Map<string, boolean>();
  for (const { name, parameters: given } of json.outputs ?? []) {
    const asked = given ?? {};
    refuseNotOffered(name, asked);
    binary.set(name, flag(own(asked, 'binary_data'), `${name}.parameters.binary_data`) ?? allBinary);
  }
  return {
    id: json.id ?? undefined,
    parameters,
    inputs,
    outputs: (json.outputs ?? []).map(({ name }) => name),
    binary: (output) => binary.get(output) ?? allBinary,
  };
}

function lengthOf(header: string, most: number): number {
  const length = /^\d{1,15}$/.test(header) ? Number(header) : Number.NaN;
  if (length <= most) return length;
  throw invalidArgument('ERR_REQUEST', LENGTH_HEADER, `a number of bytes up to the body's ${most}`, header);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    // The engine's message would quote the body.
    const actual = error instanceof SyntaxError ? 'what is no JSON' : 'bytes that are no UTF-8';
    throw new FreqFusionError('ERR_REQUEST', `expected JSON for the request, got ${actual}`, {
      expected: `${bytes.length} bytes of JSON`,
      actual,
      cause: error,
    });
  }
}

function readInputs(json: InferRequestJson, body: Uint8Array, end: number, withBinary: boolean) {
  let offset = end;
  const inputs = json.inputs.map((input): RequestTensor => {
    const { name, datatype: given, shape, data } = input;
    const parameters = input.parameters ?? {};
    const datatype = checkDatatype(given, `${name}'s datatype`);
    refuseNotOffered(name, parameters);
    const size = own(parameters, 'binary_data_size');
    if (size === undefined) {
      if (data === undefined || data === null)
        throw invalidArgument('ERR_REQUEST_TENSOR', name, 'data', undefined);
      const encoding = datatype === 'BYTES' ? encodingOf(name, parameters) : 'text';
      return {
        name,
        datatype,
        shape,
        read: (count) => readJsonData({ name, datatype, shape, data }, count, encoding),
      };
    }
    if (data !== undefined && data !== null) {
      throw invalidArgument('ERR_REQUEST_TENSOR', name, 'either data or binary_data_size', 'both');
    }
    const left = withBinary ? body.length - offset : 0;
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > left) {
      const expected = `at most the ${left} bytes that follow the JSON${withBinary ? '' : ` (no ${LENGTH_HEADER})`}`;
      throw invalidArgument('ERR_REQUEST_SHAPE', `${name}.parameters.binary_data_size`, expected, size);
    }
    const bytes = body.subarray(offset, offset + size);
    offset += size;
    return { name, datatype, shape, read: (count) => readBinary(datatype, count, bytes, name) };
  });
  return { inputs, offset };
}

/** The bytes of files are no text: strings of JSON are base64, whether the client says so or not. */
function encodingOf(name: string, parameters: Readonly<Record<string, unknown>>): BytesEncoding {
  const type = own(parameters, 'content_type');
  if (type === undefined || type === 'base64' || type === 'b64') return 'base64';
  throw invalidArgument('ERR_REQUEST_PARAMETER', `${name}.parameters.content_type`, 'base64', type);
}

function refuseNotOffered(name: string, parameters: Readonly<Record<string, unknown>>): void {
  for (const each of NOT_OFFERED) {
    if (!Object.hasOwn(parameters, each)) continue;
    throw invalidArgument('ERR_REQUEST_PARAMETER', `${name}.parameters`, 'data in the request', each);
  }
}

function own(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function flag(value: unknown, name: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalidArgument('ERR_REQUEST_PARAMETER', name, 'true or false', value);
}
