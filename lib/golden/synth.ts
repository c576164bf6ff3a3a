import { invalidArgument } from '../errors';

// Bound once: where a test runner wraps the globals, looking Math up a million times is what takes the time.
const { fround, imul } = Math;

const FNV_START = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1a, 32 bit, over the UTF-8 bytes of "<seed>/<name>": the key that all values of a name start from. */
export function synthKey(name: string, seed: number): number {
  let key = FNV_START;
  for (const byte of Buffer.from(`${seed}/${name}`, 'utf8')) {
    key = imul(key ^ byte, FNV_PRIME) >>> 0;
  }
  return key;
}

/**
 * Synthetic values of a shape in C order: each is a hash of (seed, name, index) alone, spread evenly over
 * [low, high) and rounded once to float32. The same rule stands in test/goldens/README.md, so a checkpoint of
 * any size can be rebuilt anywhere without storing it.
 */
export function uniform(
  name: string,
  shape: readonly number[],
  low: number,
  high: number,
  seed = 0,
): Float32Array {
  const count = elements(shape);
  const key = synthKey(name, seed);
  const values = new Float32Array(count);
  const width = high - low;
  for (let index = 0; index < count; index += 1) {
    let x = (key + imul(index, 0x9e3779b9)) | 0;
    x ^= x >>> 16;
    x = imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    values[index] = low + width * ((x >>> 8) / 0x1000000);
  }
  return values;
}

/** The interval that a parameter's synthetic values are drawn from, by the last part of its name and its shape. */
export function weightRange(name: string, shape: readonly number[]): [low: number, high: number] {
  const last = name.slice(name.lastIndexOf('.') + 1);
  if (last === 'running_var') return [0.5, 1.5];
  if (last === 'running_mean') return [-0.1, 0.1];
  if (last === 'bias' || last.endsWith('_bias')) return [-0.05, 0.05];
  if (shape.length <= 1) return [0.8, 1.2];
  if (shape.length === 2 && name.includes('embed') && !name.includes('proj')) return [-0.5, 0.5];
  const bound = Math.sqrt(3 / elements(shape.slice(1)));
  return [-bound, bound];
}

/** Buffers that hold constants of the module itself and never get synthetic values. */
export const KEPT_BUFFERS: readonly string[] = [
  'hamming_lowpass',
  'hamming_highpass',
  'init_pos',
  'relative_position_index',
  'num_batches_tracked',
  'attn_mask',
  'relative_coords_table',
];

/** The synthetic value of a parameter, times every gain whose pattern is found in its name. */
export function weight(
  name: string,
  shape: readonly number[],
  seed = 0,
  gains: readonly { pattern: RegExp; factor: number }[] = [],
): Float32Array {
  const [low, high] = weightRange(name, shape);
  const values = uniform(name, shape, low, high, seed);
  for (const { pattern, factor } of gains) {
    if (!pattern.test(name)) continue;
    // float32 times float32, as the reference multiplies: the factor is rounded first.
    const rounded = fround(factor);
    for (let i = 0; i < values.length; i += 1) values[i] = values[i]! * rounded;
  }
  return values;
}

/**
 * Bases of a non-negative matrix factorisation, [batch, channels, rank]: uniform in [0, 1) under the name
 * "nmf/bases", each column over the channels divided by its Euclidean norm (at least 1e-12).
 */
export function nmfBases(
  batch: number,
  channels: number,
  rank: number,
  seed = 0,
  name = 'nmf/bases',
): Float32Array {
  const values = uniform(name, [batch, channels, rank], 0, 1, seed);
  for (let b = 0; b < batch; b += 1) {
    for (let r = 0; r < rank; r += 1) {
      const start = b * channels * rank + r;
      let sum = 0;
      for (let c = 0; c < channels; c += 1) sum += values[start + c * rank]! ** 2;
      const norm = Math.max(Math.sqrt(sum), 1e-12);
      for (let c = 0; c < channels; c += 1) values[start + c * rank] = values[start + c * rank]! / norm;
    }
  }
  return values;
}

function elements(shape: readonly number[]): number {
  const count = shape.reduce((product, side) => product * side, 1);
  if (!Number.isSafeInteger(count) || count < 0) {
    throw invalidArgument('ERR_SHAPE', 'shape', 'a list of sides from 0', shape);
  }
  return count;
}
