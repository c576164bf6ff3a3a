import { emptyCache } from '../device';
import { scope } from '../scope';
import { measure, type RunOptions } from './measure';
import { availableMemory } from './memory';
import { type ModuleCase, moduleCandidate } from './modules';
import { type LinearFit, linearFit } from './statistics';

/** FreqFusion at one size of hr. */
export interface ScalingPoint {
  side: number;
  pixels: number;
  /** Milliseconds, median. */
  ms: number;
  peakRss: number;
}

/** How time and memory grow with the number of pixels. */
export interface Scaling {
  channels: number;
  points: ScalingPoint[];
  /** Milliseconds over pixels. */
  time: LinearFit;
  /** Bytes over pixels. */
  memory: LinearFit;
  /** Sides that the available memory would not have held. */
  left: number[];
}

/** Sides of hr that {@link benchScaling} runs. */
export const SCALING_SIDES: readonly number[] = [64, 128, 256, 512, 1024, 2048, 4096];

// The narrowest FreqFusion whose offset generator has a norm: 4096 x 4096 pixels then fit 16 GB.
const CHANNELS = 16;

function caseOf(side: number): ModuleCase {
  const options = {
    hrChannels: CHANNELS,
    lrChannels: CHANNELS,
    compressedChannels: CHANNELS,
    featureResample: true,
  };
  return { name: `${side} x ${side}`, options, size: [side, side] };
}

/** Measures FreqFusion with its offset generator from 64 x 64 pixels on, up to where memory ends, and fits lines. */
export async function benchScaling(
  { runs, onProgress }: RunOptions & { onProgress?: (name: string) => void },
  sides: readonly number[] = SCALING_SIDES,
): Promise<Scaling> {
  const points: ScalingPoint[] = [];
  const left: number[] = [];
  for (const side of sides) {
    if (left.length > 0 || !fits(side, points.at(-1))) {
      left.push(side);
      continue;
    }
    onProgress?.(`${side} x ${side}`);
    await scope(async () => {
      const candidate = await moduleCandidate(caseOf(side), 'float32', 'cpu');
      // The largest take seconds: fewer runs are as steady.
      const few = side > 1024 ? { runs: Math.min(runs, 2), warmups: 1 } : { runs };
      const [measured] = await measure([candidate], few);
      points.push({ side, pixels: side * side, ms: measured!.ms.median, peakRss: measured!.peakRss });
    });
    emptyCache();
  }
  const pixels = points.map((point) => point.pixels);
  return {
    channels: CHANNELS,
    points,
    time: linearFit(
      pixels,
      points.map(({ ms }) => ms),
    ),
    memory: linearFit(
      pixels,
      points.map(({ peakRss }) => peakRss),
    ),
    left,
  };
}

/** Whether a larger size will fit, judged by what the last one took and a quarter more. */
function fits(side: number, last: ScalingPoint | undefined): boolean {
  const available = availableMemory();
  if (last === undefined || available === undefined) return true;
  return 1.25 * last.peakRss * (side / last.side) ** 2 < available;
}
