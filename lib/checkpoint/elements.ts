import { DTYPE_BYTES } from '../dtype';
import { native } from '../native';
import { Tensor } from '../tensor';
import { refuse } from './codes';
import { countOf, isPacked, type TensorSpec } from './geometry';
import type { ByteSource } from './source';

type Words = Uint8Array | Uint16Array | Uint32Array | BigUint64Array;

/**
 * The elements in C order, little-endian: a view of the storage where they lie so, otherwise a copy.
 * Throws ERR_CHECKPOINT_CRC, ERR_CHECKPOINT_INFLATE, ERR_CHECKPOINT_BOOL, ERR_CHECKPOINT_FILE_CHANGED.
 */
export function elementBytes(spec: TensorSpec, what: string): Uint8Array {
  const size = DTYPE_BYTES[spec.dtype];
  let bytes = isPacked(spec)
    ? spec.storage.view(spec.offset * size, countOf(spec.shape) * size)
    : gather(spec, size);
  if (spec.storage.bigEndian && size > 1) bytes = swapped(bytes, size);
  if (spec.dtype === 'bool') checkBool(bytes, what);
  return bytes;
}

/** A tensor over the source's memory where the layout allows it, otherwise over a packed copy. */
export function makeTensor(spec: TensorSpec, source: ByteSource, what: string): Tensor {
  const { storage, dtype } = spec;
  const size = DTYPE_BYTES[dtype];
  const swaps = storage.bigEndian && size > 1;
  const at = (storage.position ?? 0) + spec.offset * size;
  if (storage.position !== undefined && !swaps && at % size === 0 && !spec.shape.includes(0)) {
    storage.check();
    if (dtype === 'bool') elementBytes(spec, what);
    const made = source.tensor(at, dtype, spec.shape, spec.strides);
    if (made !== undefined) return made;
  }
  const bytes = elementBytes(spec, what);
  // A gathered or swapped copy is ours to lend; a view of the storage is not.
  const own = bytes.length > 0 && (swaps || !isPacked(spec));
  return new Tensor(native().tensorFromBytes(bytes, dtype, spec.shape, own));
}

function gather(spec: TensorSpec, size: number): Uint8Array {
  const last = spec.shape.reduce((sum, side, i) => sum + (side - 1) * spec.strides[i]!, 0);
  const source = words(spec.storage.view(spec.offset * size, (last + 1) * size), size);
  const packed = new ArrayBuffer(countOf(spec.shape) * size);
  const target = words(new Uint8Array(packed), size);
  // One loop serves all widths: the four word types have the same shape for plain element copies.
  copyStrided(source as Uint32Array, target as Uint32Array, spec);
  return new Uint8Array(packed);
}

function copyStrided(source: Uint32Array, target: Uint32Array, spec: TensorSpec): void {
  const { shape, strides } = spec;
  const inner = shape.length - 1;
  const run = shape[inner]!;
  const step = strides[inner]!;
  const index = new Array<number>(inner).fill(0);
  let from = 0;
  for (let to = 0; to < target.length; ) {
    for (let i = 0, at = from; i < run; i++, at += step) target[to++] = source[at]!;
    for (let dim = inner - 1; dim >= 0; dim--) {
      from += strides[dim]!;
      index[dim]! += 1;
      if (index[dim]! < shape[dim]!) break;
      from -= strides[dim]! * shape[dim]!;
      index[dim] = 0;
    }
  }
}

function words(bytes: Uint8Array, size: number): Words {
  if (size === 1) return bytes;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const count = aligned.length / size;
  if (size === 2) return new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  if (size === 4) return new Uint32Array(aligned.buffer, aligned.byteOffset, count);
  return new BigUint64Array(aligned.buffer, aligned.byteOffset, count);
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const copy = Buffer.alloc(bytes.length);
  copy.set(bytes);
  if (size === 2) return copy.swap16();
  return size === 4 ? copy.swap32() : copy.swap64();
}

function checkBool(bytes: Uint8Array, what: string): void {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0)
    refuse('ERR_CHECKPOINT_BOOL', `element ${wrong} of ${what}`, '0 or 1', String(bytes[wrong]));
}
