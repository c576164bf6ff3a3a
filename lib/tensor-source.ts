import { checkDType, DTYPE_BYTES, type DType, viewAs } from './dtype';
import { describe, invalidArgument } from './errors';

/** Values that `tensor()` takes: a typed array, raw bytes, or plain (nested) arrays of numbers. */
export type TensorSource = ArrayBufferView | ArrayBuffer | number | boolean | readonly TensorElement[];
type TensorElement = number | bigint | boolean | readonly TensorElement[];

type Tagged<Tag extends string> = { readonly [Symbol.toStringTag]: Tag };

/** The dtype that a source has by itself: a typed array's own type, uint8 for raw bytes, float32 for plain numbers. */
export type DTypeOfSource<S> =
  S extends Tagged<'Float64Array'>
    ? 'float64'
    : S extends Tagged<'Float16Array'>
      ? 'float16'
      : S extends Tagged<'BigInt64Array'>
        ? 'int64'
        : S extends Tagged<'Int32Array'>
          ? 'int32'
          : S extends Tagged<'Int16Array'>
            ? 'int16'
            : S extends Tagged<'Int8Array'>
              ? 'int8'
              : S extends Tagged<'Uint8Array'> | Tagged<'Uint8ClampedArray'> | ArrayBuffer | SharedArrayBuffer
                ? 'uint8'
                : S extends Tagged<'Float32Array'> | number | boolean | readonly TensorElement[]
                  ? 'float32'
                  : DType;

/** A source as bytes, with the dtype and the shape that it has by itself. */
export interface SourceBytes {
  bytes: ArrayBufferView | ArrayBuffer;
  dtype: DType;
  natural: number[];
}

/** Checks a list of sides: integers from 0 (and one -1 where a side may be inferred), at most 2^53 elements. */
export function checkShape(shape: unknown, { inferred = false } = {}, name = 'shape'): number[] {
  const expected = inferred
    ? 'an array of integers from 0, one of them -1 at most'
    : 'an array of integers from 0';
  if (!Array.isArray(shape)) throw invalidArgument('ERR_SHAPE', name, expected, shape);
  let free = 0;
  let count = 1;
  for (const side of shape as unknown[]) {
    if (inferred && side === -1 && free === 0) {
      free += 1;
      continue;
    }
    if (typeof side !== 'number' || !Number.isSafeInteger(side) || side < 0) {
      throw invalidArgument('ERR_SHAPE', name, expected, shape);
    }
    count *= side;
  }
  if (!Number.isSafeInteger(count))
    throw invalidArgument('ERR_SHAPE', name, 'at most 2^53 - 1 elements', shape);
  return [...(shape as number[])];
}

const DTYPE_OF_VIEW: Readonly<Record<string, DType>> = {
  Float32Array: 'float32',
  Float64Array: 'float64',
  Float16Array: 'float16',
  BigInt64Array: 'int64',
  Int32Array: 'int32',
  Int16Array: 'int16',
  Int8Array: 'int8',
  Uint8Array: 'uint8',
  Uint8ClampedArray: 'uint8',
};

/** The dtypes that an array can carry beside its own: 16-bit words hold halves, bytes hold anything as raw memory. */
function rawDTypes(tag: string): readonly string[] {
  if (tag === 'Uint16Array') return ['float16', 'bfloat16'];
  return tag === 'Uint8Array' || tag === 'DataView' ? Object.keys(DTYPE_BYTES) : [];
}

// Object.prototype.toString, not instanceof: typed arrays of another realm (vm contexts, workers) count as well.
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** Reads a source, or throws ERR_TYPE, ERR_DTYPE or ERR_SHAPE. */
export function toBytes(source: unknown, wanted: DType | undefined): SourceBytes {
  if (wanted !== undefined) checkDType(wanted);
  const tag = tagOf(source);
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') {
    return fromMemory(new Uint8Array(source as ArrayBuffer), wanted ?? 'uint8');
  }
  if (ArrayBuffer.isView(source)) {
    const dtype = wanted ?? DTYPE_OF_VIEW[tag];
    if (dtype === undefined || (dtype !== DTYPE_OF_VIEW[tag] && !rawDTypes(tag).includes(dtype))) {
      const expected =
        DTYPE_OF_VIEW[tag] ?? (rawDTypes(tag).join(' or ') || 'a typed array that a dtype fits');
      throw invalidArgument('ERR_DTYPE', `the dtype of a ${tag}`, expected, wanted);
    }
    return fromMemory(source, dtype);
  }
  if (typeof source === 'number' || typeof source === 'boolean' || Array.isArray(source)) {
    return fromNumbers(source, wanted ?? 'float32');
  }
  throw invalidArgument(
    'ERR_TYPE',
    'source',
    'a typed array, an ArrayBuffer or (nested) arrays of numbers',
    source,
  );
}

function fromMemory(view: ArrayBufferView, dtype: DType): SourceBytes {
  const element = DTYPE_BYTES[dtype];
  if (view.byteLength % element !== 0) {
    throw invalidArgument(
      'ERR_SHAPE',
      'source',
      `a multiple of ${element} bytes for ${dtype}`,
      view.byteLength,
    );
  }
  // Another thread may write to shared memory at any time: it is copied here, once.
  const shared = tagOf(view.buffer) === 'SharedArrayBuffer';
  const bytes = shared ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice() : view;
  return { bytes, dtype, natural: [view.byteLength / element] };
}

function fromNumbers(source: unknown, dtype: DType): SourceBytes {
  if (dtype === 'float16' || dtype === 'bfloat16') {
    throw invalidArgument(
      'ERR_DTYPE',
      'dtype',
      'a dtype that plain numbers can fill (make float32, then to())',
      dtype,
    );
  }
  const natural: number[] = [];
  for (let level = source; Array.isArray(level); level = level[0]) natural.push(level.length);
  const flat: (number | bigint | boolean)[] = [];
  flatten(source, natural, 0, flat);
  return { bytes: dtype === 'int64' ? toBigInts(flat) : toNumbers(flat, dtype), dtype, natural };
}

function toBigInts(values: readonly (number | bigint | boolean)[]): BigInt64Array {
  return BigInt64Array.from(values, (value) => {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) {
      throw invalidArgument('ERR_TYPE', 'source', 'integers for dtype int64', value);
    }
    return BigInt(value);
  });
}

function toNumbers(values: readonly (number | bigint | boolean)[], dtype: DType): ArrayBufferView {
  const data = viewAs(new ArrayBuffer(values.length * DTYPE_BYTES[dtype]), dtype) as Float64Array;
  for (const [i, value] of values.entries())
    data[i] = dtype === 'bool' ? Number(Boolean(value)) : Number(value);
  return data;
}

function flatten(
  value: unknown,
  natural: readonly number[],
  depth: number,
  out: (number | bigint | boolean)[],
): void {
  if (depth === natural.length) {
    if (typeof value !== 'number' && typeof value !== 'boolean' && typeof value !== 'bigint') {
      throw invalidArgument('ERR_TYPE', 'source', 'numbers', value);
    }
    out.push(value);
    return;
  }
  if (!Array.isArray(value) || value.length !== natural[depth]) {
    const expected = `nested arrays of equal length [${natural.join(', ')}]`;
    throw invalidArgument('ERR_SHAPE', 'source', expected, describe(value));
  }
  for (const each of value) flatten(each, natural, depth + 1, out);
}
