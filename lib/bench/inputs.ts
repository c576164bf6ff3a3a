import type { Device } from '../device';
import type { DType } from '../dtype';
import { scope } from '../scope';
import { cat, type Tensor, tensor } from '../tensor';

/** Reproducible values in [low, high): the same for every run, dtype and machine. */
export function uniform(count: number, seed: number, low = -1, high = 1): Float32Array {
  const values = new Float32Array(count);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < count; i += 1) {
    // xorshift32: fast, and its period of 2^32 - 1 is enough for inputs.
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    values[i] = low + ((high - low) * state) / 0x1_0000_0000;
  }
  return values;
}

/** Order of a map in memory. */
export type Layout = 'channels-first' | 'channels-last';

/** How a measured map is made. */
export interface MapOptions {
  dtype: DType;
  layout: Layout;
  device: Device;
}

/** Above this many elements a map repeats one block: drawing each value would take longer than the measurement. */
const BLOCK = 1 << 22;

/** A map of uniform values in the wanted dtype, layout and place. */
export function makeMap(
  shape: readonly number[],
  seed: number,
  { dtype, layout, device }: MapOptions,
  [low, high]: readonly [number, number] = [-1, 1],
): Tensor {
  return scope(() => {
    const count = shape.reduce((a, b) => a * b, 1);
    const block = tensor(uniform(Math.min(count, BLOCK), seed, low, high)).to({ dtype, device });
    const copies = Math.ceil(count / BLOCK);
    const flat = copies === 1 ? block : cat(new Array<Tensor>(copies).fill(block)).slice(0, 0, count);
    const map = flat.reshape(shape);
    return layout === 'channels-last' ? map.contiguous('channels-last') : map;
  });
}
