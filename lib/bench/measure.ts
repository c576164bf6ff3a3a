import { emptyCache } from '../device';
import { peakRss, resetPeakRss } from './memory';
import type { RoofMeter } from './roofs';
import { type Timing, timing } from './statistics';
import type { Work } from './work';

/** Something to measure, ready to run: its inputs lie in memory, and what it returns has been freed when it resolves. */
export interface Candidate {
  /** What is computed, such as "carafe k5 s2". */
  name: string;
  /** How: dtype, layout, threads. */
  variant: string;
  /** Sizes, in words. */
  shape: string;
  work: Work;
  run: () => Promise<void>;
}

/** A candidate with its times. */
export interface Measured extends Omit<Candidate, 'run'> {
  ms: Timing;
  /** Greatest resident memory of the process while it ran, inputs included, in bytes. */
  peakRss: number;
}

/** How often things run. */
export interface RunOptions {
  /** Timed runs of each candidate. */
  runs: number;
  /** Runs before them that are not counted. Default 2. */
  warmups?: number;
  /** Gets a few samples before and after. */
  roofs?: RoofMeter;
}

/**
 * Measures candidates side by side: one run of each in turn, as often as wanted, so that a busy moment of the machine
 * falls on all of them. Times are those of the promise, about 0.05 ms more than the native job's own.
 */
export async function measure(
  candidates: readonly Candidate[],
  { runs, warmups = 2, roofs }: RunOptions,
): Promise<Measured[]> {
  const peaks: number[] = [];
  emptyCache();
  await roofs?.sample();
  for (const { run } of candidates) {
    resetPeakRss();
    for (let i = 0; i < warmups; i += 1) await run();
    peaks.push(peakRss());
  }
  const times: number[][] = candidates.map(() => []);
  for (let round = 0; round < runs; round += 1) {
    for (const [index, { run }] of candidates.entries()) {
      const since = performance.now();
      await run();
      times[index]!.push(performance.now() - since);
    }
  }
  await roofs?.sample();
  return candidates.map(({ run: _run, ...rest }, index) => ({
    ...rest,
    ms: timing(times[index]!),
    peakRss: peaks[index]!,
  }));
}
