import { native } from '../native';
import { median } from './statistics';
import type { Work } from './work';

/** What the machine can do at most. Bandwidths in GB/s of bytes read and written, the peak in GFLOP/s (float32). */
export interface Roofs {
  /** Copy with plain stores: the best of all samples, and their median. */
  copy: { best: number; median: number };
  /** Copy with stores past the caches. */
  stream: { best: number; median: number };
  /** Fused multiply-adds in registers, each counted as two operations. */
  fma: { best: number; median: number };
}

/** Samples of one call of the addon's measureRoofs. */
export interface RoofSamples {
  copy: readonly number[];
  stream: readonly number[];
  fma: readonly number[];
}

/** Each buffer of the copies: four times a last-level cache of 32 MB. */
const COPY_BYTES = 128 << 20;

/**
 * Collects what the machine can do, a few samples between every two measurements, so that a busy neighbour does not
 * fall on the roofs alone.
 */
export class RoofMeter {
  readonly #copy: number[] = [];
  readonly #stream: number[] = [];
  readonly #fma: number[] = [];

  constructor(private readonly bytes = COPY_BYTES) {}

  async sample(repeats = 3): Promise<RoofSamples> {
    const samples = await native().measureRoofs(this.bytes, repeats);
    this.#copy.push(...samples.copy);
    this.#stream.push(...samples.stream);
    this.#fma.push(...samples.fma);
    return samples;
  }

  get roofs(): Roofs {
    const of = (values: readonly number[]) => ({ best: Math.max(...values), median: median(values) });
    return { copy: of(this.#copy), stream: of(this.#stream), fma: of(this.#fma) };
  }
}

/** The bandwidth that work is held against: the better of the two copies. */
export function bandwidth(roofs: Roofs): number {
  return Math.max(roofs.copy.best, roofs.stream.best);
}

/** The least time that work can take on the machine, in milliseconds: max(flops / peak, bytes / bandwidth). */
export function roofMs({ flops, bytes }: Work, roofs: Roofs): number {
  return Math.max(flops / roofs.fma.best, bytes / bandwidth(roofs)) / 1e6;
}
