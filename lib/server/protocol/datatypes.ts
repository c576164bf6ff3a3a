import { invalidArgument } from '../../errors';

/** Numbers of a tensor, in the array that has the datatype's own layout; FP16 and BF16 as their bits. */
export type NumericData =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** A tensor's data: numbers, or the elements of a BYTES tensor. */
export type TensorData = NumericData | readonly Uint8Array[];

interface NumericArray {
  new (length: number): NumericData;
  new (buffer: ArrayBuffer): NumericData;
}

/** How a datatype of numbers lies in memory, little-endian, and what JSON may say for it. */
export interface NumericLayout {
  /** Bytes of an element. */
  readonly bytes: number;
  readonly array: NumericArray;
  /** What JSON has for an element; 'none' where JSON cannot have it. */
  readonly json: 'boolean' | 'integer' | 'number' | 'none';
  /** Bounds of an integer. */
  readonly min?: bigint;
  readonly max?: bigint;
}

function signed(bytes: number, array: NumericArray): NumericLayout {
  const half = 1n << BigInt(8 * bytes - 1);
  return { bytes, array, json: 'integer', min: -half, max: half - 1n };
}

function unsigned(bytes: number, array: NumericArray): NumericLayout {
  return { bytes, array, json: 'integer', min: 0n, max: (1n << BigInt(8 * bytes)) - 1n };
}

/** Layouts of the protocol's datatypes of numbers. */
export const NUMERIC = {
  BOOL: { bytes: 1, array: Uint8Array, json: 'boolean' },
  UINT8: unsigned(1, Uint8Array),
  UINT16: unsigned(2, Uint16Array),
  UINT32: unsigned(4, Uint32Array),
  UINT64: unsigned(8, BigUint64Array),
  INT8: signed(1, Int8Array),
  INT16: signed(2, Int16Array),
  INT32: signed(4, Int32Array),
  INT64: signed(8, BigInt64Array),
  FP16: { bytes: 2, array: Uint16Array, json: 'none' },
  BF16: { bytes: 2, array: Uint16Array, json: 'none' },
  FP32: { bytes: 4, array: Float32Array, json: 'number' },
  FP64: { bytes: 8, array: Float64Array, json: 'number' },
} as const satisfies Readonly<Record<string, NumericLayout>>;

/** A datatype of numbers. */
export type NumericDatatype = keyof typeof NUMERIC;

/** A datatype of the Open Inference Protocol. */
export type Datatype = NumericDatatype | 'BYTES';

/** All datatypes. */
export const DATATYPES = [...(Object.keys(NUMERIC) as NumericDatatype[]), 'BYTES'] as readonly Datatype[];

/** Narrows a value to a datatype, or throws ERR_REQUEST_TENSOR. */
export function checkDatatype(value: unknown, name: string): Datatype {
  if ((DATATYPES as readonly unknown[]).includes(value)) return value as Datatype;
  throw invalidArgument('ERR_REQUEST_TENSOR', name, `a datatype among ${DATATYPES.join(', ')}`, value);
}

/** A named tensor with its data. */
export interface InferTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Most dimensions of a tensor. */
export const MAX_RANK = 8;

/** Number of elements of a shape. Throws ERR_REQUEST_SHAPE for what is no shape, or is more than can be counted. */
export function elementsOf(shape: readonly unknown[], name: string): number {
  if (shape.length > MAX_RANK) {
    throw invalidArgument('ERR_REQUEST_SHAPE', name, `at most ${MAX_RANK} dimensions`, shape);
  }
  let count = 1;
  for (const size of shape) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
      throw invalidArgument('ERR_REQUEST_SHAPE', name, 'sizes from 0', shape);
    }
    count *= size;
    if (!Number.isSafeInteger(count)) {
      throw invalidArgument('ERR_REQUEST_SHAPE', name, 'a number of elements below 2^53', shape);
    }
  }
  return count;
}
