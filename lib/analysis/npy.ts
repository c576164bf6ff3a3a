import { open } from 'node:fs/promises';
import { FreqFusionError } from '../errors';
import type { FeatureMap } from './feature-similarity';

/** A .npy file that is damaged, of an element type that is no number, or too large. */
export class NpyError extends FreqFusionError {}

/** An array of a .npy file, its values as float32 in C order. */
export interface NpyArray {
  shape: number[];
  data: Float32Array;
}

const MAGIC = Buffer.from('\u0093NUMPY', 'latin1');
const MAX_HEADER = 1 << 16;
/** Largest number of elements that is read: 2 GiB of float32. */
const MAX_ELEMENTS = 1 << 29;

type Reader = (view: DataView, offset: number, little: boolean) => number;

const READERS: Readonly<Record<string, { bytes: number; read: Reader }>> = {
  f2: { bytes: 2, read: (view, at, little) => half(view.getUint16(at, little)) },
  f4: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little) },
  f8: { bytes: 8, read: (view, at, little) => view.getFloat64(at, little) },
  i1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  i2: { bytes: 2, read: (view, at, little) => view.getInt16(at, little) },
  i4: { bytes: 4, read: (view, at, little) => view.getInt32(at, little) },
  i8: { bytes: 8, read: (view, at, little) => Number(view.getBigInt64(at, little)) },
  u1: { bytes: 1, read: (view, at) => view.getUint8(at) },
  u2: { bytes: 2, read: (view, at, little) => view.getUint16(at, little) },
  u4: { bytes: 4, read: (view, at, little) => view.getUint32(at, little) },
  u8: { bytes: 8, read: (view, at, little) => Number(view.getBigUint64(at, little)) },
  b1: { bytes: 1, read: (view, at) => view.getUint8(at) },
};

/** Reads a .npy file of numbers (format versions 1 to 3, either byte order, C or Fortran order). Throws NpyError. */
export async function readNpy(file: string): Promise<NpyArray> {
  let bytes: Buffer;
  try {
    const handle = await open(file, 'r');
    try {
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new NpyError('ERR_NPY_READ', `${file} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return parseNpy(bytes, file);
}

/** Reads a .npy file that holds one map of features, [channels, height, width] or [1, channels, height, width]. */
export async function readFeatureMap(file: string): Promise<FeatureMap> {
  const { shape, data } = await readNpy(file);
  const sides = shape.length === 4 && shape[0] === 1 ? shape.slice(1) : shape;
  const [channels, height, width] = sides;
  if (
    sides.length !== 3 ||
    channels === undefined ||
    height === undefined ||
    width === undefined ||
    data.length === 0
  ) {
    throw new NpyError(
      'ERR_NPY_SHAPE',
      `expected shape [channels, height, width] for ${file}, got [${shape.join(', ')}]`,
      {
        expected: '[channels, height, width]',
        actual: `[${shape.join(', ')}]`,
      },
    );
  }
  return { data, channels, height, width };
}

/** Parses the bytes of a .npy file; `name` stands in error messages. */
export function parseNpy(bytes: Uint8Array, name = 'the .npy data'): NpyArray {
  const refuse = (expected: string, actual: string): never => {
    throw new NpyError('ERR_NPY_FORMAT', `expected ${expected} for ${name}, got ${actual}`, {
      expected,
      actual,
    });
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 10 || !MAGIC.every((byte, i) => bytes[i] === byte)) {
    return refuse('a .npy file', `${bytes.length} bytes without its first six`);
  }
  const version = bytes[6]!;
  if (version < 1 || version > 3) return refuse('.npy format 1 to 3', `format ${version}`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) return refuse('a whole header', `${bytes.length} bytes`);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER || start + length > bytes.length) {
    return refuse('a header within the file', `a header of ${length} bytes`);
  }
  const header = Buffer.from(bytes.subarray(start, start + length)).toString(
    version === 3 ? 'utf8' : 'latin1',
  );
  const descr = /'descr'\s*:\s*'([<>|=])([a-z]\d+)'/.exec(header);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header);
  const sides = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(header);
  if (descr === null || order === null || sides === null)
    return refuse('a header of plain numbers', header.trim().slice(0, 80));
  const reader = READERS[descr[2]!];
  if (reader === undefined) return refuse('an element type of real numbers', `'${descr[1]}${descr[2]}'`);
  const shape = sides[1]!
    .split(',')
    .filter((side) => side.trim() !== '')
    .map(Number);
  const count = shape.reduce((product, side) => product * side, 1);
  if (!Number.isSafeInteger(count) || count > MAX_ELEMENTS) {
    return refuse(`at most ${MAX_ELEMENTS} elements`, `shape [${shape.join(', ')}]`);
  }
  const have = bytes.length - start - length;
  if (have !== count * reader.bytes) return refuse(`${count * reader.bytes} bytes of values`, `${have}`);
  const little = descr[1] !== '>';
  const data = new Float32Array(count);
  const base = start + length;
  for (let i = 0; i < count; i += 1) data[i] = reader.read(view, base + i * reader.bytes, little);
  return { shape, data: order[1] === 'True' ? toC(data, shape) : data };
}

/** Reorders values of Fortran order (first index fastest) into C order. */
function toC(values: Float32Array, shape: readonly number[]): Float32Array {
  const result = new Float32Array(values.length);
  const index = new Int32Array(shape.length);
  const steps = shape.map((_, dim) => shape.slice(0, dim).reduce((product, side) => product * side, 1));
  let from = 0;
  for (let to = 0; to < values.length; to += 1) {
    result[to] = values[from]!;
    for (let dim = shape.length - 1; dim >= 0; dim -= 1) {
      index[dim] = index[dim]! + 1;
      from += steps[dim]!;
      if (index[dim]! < shape[dim]!) break;
      from -= steps[dim]! * shape[dim]!;
      index[dim] = 0;
    }
  }
  return result;
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
