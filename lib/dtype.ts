import { invalidArgument } from './errors';

/** Element types of a tensor, by PyTorch's names. */
export const DTYPES = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
] as const;

/** An element type of a tensor. */
export type DType = (typeof DTYPES)[number];

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

interface TypedArrayByDType {
  float32: Float32Array;
  float64: Float64Array;
  /** Float16Array where the runtime has it, otherwise the raw 16 bits. */
  float16: Uint16Array;
  /** The raw 16 bits: JavaScript has no bfloat16. */
  bfloat16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  int16: Int16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** The typed array that `Tensor<D>.data()` resolves to. */
export type DataOf<D extends DType> = TypedArrayByDType[D];

type TypedArrayConstructor = new (
  buffer: ArrayBuffer,
  byteOffset?: number,
  length?: number,
) => ArrayBufferView;

const float16Array = (globalThis as { Float16Array?: TypedArrayConstructor }).Float16Array;

const CONSTRUCTORS: Readonly<Record<DType, TypedArrayConstructor>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: float16Array ?? Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** Views bytes as the typed array of a dtype, without a copy. */
export function viewAs<D extends DType>(buffer: ArrayBuffer, dtype: D): DataOf<D> {
  return new CONSTRUCTORS[dtype](buffer) as unknown as DataOf<D>;
}

/** Narrows a value to a DType, or throws ERR_DTYPE. */
export function checkDType(value: unknown, name = 'dtype'): DType {
  if (typeof value === 'string' && (DTYPES as readonly string[]).includes(value)) return value as DType;
  throw invalidArgument('ERR_DTYPE', name, `one of ${DTYPES.join(', ')}`, value);
}
