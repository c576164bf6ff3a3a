import { FreqFusionError, invalidArgument } from '../../errors';
import { readBinary, writeBinary } from '../protocol/binary';
import {
  checkDatatype,
  type Datatype,
  type InferTensor,
  NUMERIC,
  type TensorData,
} from '../protocol/datatypes';
import type { InferRequest, RequestTensor } from '../protocol/request';

/** A value of a parameter, as the proto's oneof comes out of proto-loader. */
type Parameter = { readonly parameter_choice?: string } & Readonly<Record<string, unknown>>;

type Parameters = Readonly<Record<string, Parameter>>;

type Contents = Readonly<Record<string, readonly unknown[]>>;

/** A ModelInferRequest. */
export interface ModelInferRequest {
  readonly model_name: string;
  readonly model_version: string;
  readonly id: string;
  readonly parameters: Parameters;
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly parameters: Parameters;
    readonly contents: Contents | null;
  }[];
  readonly outputs: readonly { readonly name: string; readonly parameters: Parameters }[];
  readonly raw_input_contents: readonly Uint8Array[];
}

/** Fields of InferTensorContents by datatype; FP16 and BF16 have none. */
const CONTENTS: Readonly<Partial<Record<Datatype, string>>> = {
  BOOL: 'bool_contents',
  UINT8: 'uint_contents',
  UINT16: 'uint_contents',
  UINT32: 'uint_contents',
  UINT64: 'uint64_contents',
  INT8: 'int_contents',
  INT16: 'int_contents',
  INT32: 'int_contents',
  INT64: 'int64_contents',
  FP32: 'fp32_contents',
  FP64: 'fp64_contents',
  BYTES: 'bytes_contents',
};

/**
 * Reads a request that came over gRPC, with raw or typed contents.
 * Throws ERR_REQUEST, ERR_REQUEST_TENSOR, ERR_REQUEST_SHAPE or ERR_REQUEST_PARAMETER.
 */
export function readGrpcRequest(message: ModelInferRequest): InferRequest {
  const { inputs, outputs, raw_input_contents: raw } = message;
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw invalidArgument('ERR_REQUEST_SHAPE', 'raw_input_contents', `${inputs.length} entries`, raw.length);
  }
  return {
    parameters: parametersOf(message.parameters),
    inputs: inputs.map(({ name, datatype: given, shape, parameters, contents }, i): RequestTensor => {
      refuseNotOffered(name, parameters);
      const datatype = checkDatatype(given, `${name}'s datatype`);
      const bytes = raw[i];
      if (bytes !== undefined && contents !== null) {
        throw invalidArgument('ERR_REQUEST_TENSOR', name, 'either contents or raw_input_contents', 'both');
      }
      const read = (count: number): TensorData =>
        bytes !== undefined
          ? readBinary(datatype, count, bytes, name)
          : readContents(datatype, count, contents ?? {}, name);
      return { name, datatype, shape, read };
    }),
    outputs: outputs.map(({ name, parameters }) => {
      refuseNotOffered(name, parameters);
      return name;
    }),
  };
}

function readContents(datatype: Datatype, count: number, contents: Contents, name: string): TensorData {
  const field = CONTENTS[datatype];
  if (field === undefined) {
    throw invalidArgument('ERR_REQUEST_TENSOR', name, `raw_input_contents for ${datatype}`, 'none');
  }
  const filled = Object.keys(contents).filter((each) => (contents[each]?.length ?? 0) > 0);
  const other = filled.find((each) => each !== field);
  if (other !== undefined) throw invalidArgument('ERR_REQUEST_TENSOR', name, field, other);
  const values = contents[field] ?? [];
  if (values.length !== count) {
    throw invalidArgument('ERR_REQUEST_SHAPE', name, `${count} elements in ${field}`, values.length);
  }
  if (datatype === 'BYTES') return values as readonly Uint8Array[];
  const { array, bytes } = NUMERIC[datatype];
  const numbers = new array(count);
  const big = bytes === 8 && datatype !== 'FP64';
  for (const [i, value] of values.entries())
    numbers[i] = (big ? BigInt(value as number) : Number(value)) as never;
  // What the array changed does not fit the datatype: fields are wider than it.
  const wrong = datatype.startsWith('FP')
    ? -1
    : values.findIndex((value, i) => Number(numbers[i]) !== Number(value));
  if (wrong >= 0) throw invalidArgument('ERR_REQUEST_VALUE', name, `elements of ${datatype}`, values[wrong]);
  return numbers;
}

/** Parameters by name, with the values of their oneofs. Throws ERR_REQUEST for one that has none. */
function parametersOf(parameters: Parameters): ReadonlyMap<string, unknown> {
  return new Map(
    Object.entries(parameters).map(([name, parameter]) => {
      const { parameter_choice: choice } = parameter;
      if (choice === undefined) {
        throw new FreqFusionError(
          'ERR_REQUEST',
          `expected a value for parameter ${JSON.stringify(name)}, got none`,
          {
            expected: 'a value',
            actual: 'none',
          },
        );
      }
      return [name, parameter[choice]];
    }),
  );
}

function refuseNotOffered(name: string, parameters: Parameters): void {
  for (const each of ['shared_memory_region', 'classification']) {
    if (!Object.hasOwn(parameters, each)) continue;
    throw invalidArgument('ERR_REQUEST_PARAMETER', `${name}.parameters`, 'data in the request', each);
  }
}

/** The ModelInferResponse of a request's outputs: their data is raw, whatever the request's was. */
export function writeGrpcAnswer(
  { model_name, model_version, id }: { model_name: string; model_version: string; id: string },
  outputs: readonly InferTensor[],
): object {
  return {
    model_name,
    model_version,
    id,
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    raw_output_contents: outputs.map(writeBinary),
  };
}
