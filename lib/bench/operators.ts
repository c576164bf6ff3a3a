import type { OptionRecord } from '../binding';
import { DTYPE_BYTES, type DType } from '../dtype';
import { native } from '../native';
import { carafe } from '../ops/carafe';
import { highPass } from '../ops/high-pass';
import { kernelNormalizer } from '../ops/kernel-normalizer';
import { localSimilarity } from '../ops/local-similarity';
import { offsetSampler } from '../ops/offset-sampler';
import { scope } from '../scope';
import type { Tensor } from '../tensor';
import type { GpuCandidate } from './gpu';
import { type Layout, type MapOptions, makeMap } from './inputs';
import { type Candidate, type Measured, measure, type RunOptions } from './measure';
import { carafeFlops, normalizerFlops, samplerFlops, similarityFlops, type Work } from './work';

/** A low-resolution map [1, channels, height, width]; outputs have twice its sides. */
export interface MapSize {
  channels: number;
  height: number;
  width: number;
}

/** An operator as FreqFusion uses it. */
interface OperatorCase {
  name: string;
  /** Makes the inputs from the sizes of the maps of low and of high resolution. */
  inputs: (size: Sizes, make: Make) => Record<string, Tensor>;
  run: (inputs: Record<string, Tensor>) => Promise<Tensor>;
  /** The same as the addon has it: the operator's name and options. */
  native: readonly [name: string, options: OptionRecord];
  flops: (size: Sizes) => number;
  /** Elements read and written. */
  elements: (size: Sizes) => number;
}

interface Sizes extends MapSize {
  /** Pixels of high and of low resolution. */
  high: number;
  low: number;
}

type Make = (channels: number, high: boolean) => Tensor;

const SAMPLER_GROUPS = 4;

const CASES: readonly OperatorCase[] = [
  {
    name: 'carafe k5 s2',
    inputs: ({ channels }, make) => ({ features: make(channels, false), masks: make(25, true) }),
    run: ({ features, masks }) => carafe(features!, masks!, { kernelSize: 5, scale: 2 }),
    native: ['carafe', { kernelSize: 5, scale: 2 }],
    flops: ({ channels, high }) => carafeFlops(5, channels, high),
    elements: ({ channels, high, low }) => channels * (high + low) + 25 * high,
  },
  {
    name: 'carafe k3 s1',
    inputs: ({ channels }, make) => ({ features: make(channels, true), masks: make(9, true) }),
    run: ({ features, masks }) => carafe(features!, masks!, { kernelSize: 3, scale: 1 }),
    native: ['carafe', { kernelSize: 3, scale: 1 }],
    flops: ({ channels, high }) => carafeFlops(3, channels, high),
    elements: ({ channels, high }) => 2 * channels * high + 9 * high,
  },
  {
    name: 'high_pass k3',
    inputs: ({ channels }, make) => ({ x: make(channels, true), masks: make(9, true) }),
    run: ({ x, masks }) => highPass(x!, masks!, { kernelSize: 3 }),
    native: ['high_pass', { kernelSize: 3 }],
    flops: ({ channels, high }) => carafeFlops(3, channels, high) + 2 * channels * high,
    elements: ({ channels, high }) => 2 * channels * high + 9 * high,
  },
  {
    name: 'kernel_normalizer k5',
    inputs: (_, make) => ({ logits: make(25, true) }),
    run: ({ logits }) => kernelNormalizer(logits!, { kernelSize: 5 }),
    native: ['kernel_normalizer', { kernelSize: 5 }],
    flops: ({ high }) => normalizerFlops(25, high),
    elements: ({ high }) => 2 * 25 * high,
  },
  {
    name: 'local_similarity k3 d2',
    inputs: ({ channels }, make) => ({ x: make(channels, true) }),
    run: ({ x }) => localSimilarity(x!),
    native: ['local_similarity', {}],
    flops: ({ channels, high }) => similarityFlops(3, channels, high),
    elements: ({ channels, high }) => (channels + 8) * high,
  },
  {
    name: 'offset_sampler g4',
    inputs: ({ channels }, make) => ({ x: make(channels, true), offset: make(8 * SAMPLER_GROUPS, false) }),
    run: ({ x, offset }) => offsetSampler(x!, offset!, { groups: SAMPLER_GROUPS }),
    native: ['offset_sampler', { groups: SAMPLER_GROUPS }],
    flops: ({ channels, high }) => samplerFlops(channels, high),
    elements: ({ channels, high, low }) => 2 * channels * high + 8 * SAMPLER_GROUPS * low,
  },
];

/** Names of the operators that {@link benchOperators} measures. */
export const OPERATOR_NAMES: readonly string[] = CASES.map(({ name }) => name);

/** Options of {@link benchOperators}. */
export interface OperatorBenchOptions extends RunOptions, Omit<MapOptions, 'dtype' | 'layout'> {
  size: MapSize;
  dtypes: readonly DType[];
  onProgress?: (name: string) => void;
}

/**
 * Measures every operator in both layouts and all dtypes, those of one operator interleaved. Outputs are freed after
 * each run, so that the next one finds their memory in the allocator's cache.
 */
export async function benchOperators({
  size,
  dtypes,
  device,
  onProgress,
  ...runs
}: OperatorBenchOptions): Promise<Measured[]> {
  const low = size.height * size.width;
  const sizes: Sizes = { ...size, low, high: 4 * low };
  const results: Measured[] = [];
  for (const each of CASES) {
    onProgress?.(each.name);
    await scope(async () => {
      const candidates = dtypes.flatMap((dtype) =>
        (['channels-first', 'channels-last'] as const).map((layout) =>
          candidate(each, sizes, { dtype, layout, device }),
        ),
      );
      results.push(...(await measure(candidates, runs)));
    });
  }
  return results;
}

function candidate(each: OperatorCase, size: Sizes, options: MapOptions): Candidate {
  const inputs = makeInputs(each, size, options);
  return { ...described(each, size, options), run: async () => (await each.run(inputs)).dispose() };
}

function makeInputs(each: OperatorCase, size: Sizes, options: MapOptions): Record<string, Tensor> {
  let seed = 0;
  return each.inputs(size, (channels, high) => {
    seed += 1;
    const factor = high ? 2 : 1;
    return makeMap([1, channels, factor * size.height, factor * size.width], seed, options);
  });
}

function described(each: OperatorCase, size: Sizes, { dtype, layout }: MapOptions): Omit<Candidate, 'run'> {
  return {
    name: each.name,
    variant: variantName(dtype, layout),
    shape: `${size.channels} x ${2 * size.height} x ${2 * size.width}`,
    work: workOf(each, size, dtype),
  };
}

/** The same operators for a GPU, one after the other; inputs are made when one is timed, and freed after it. */
export function gpuOperators(
  size: MapSize,
  { dtypes, device }: Pick<OperatorBenchOptions, 'dtypes' | 'device'>,
): GpuCandidate[] {
  const low = size.height * size.width;
  const sizes: Sizes = { ...size, low, high: 4 * low };
  const fitting = CASES.filter(
    (each) => each.native[0] !== 'offset_sampler' || size.channels % SAMPLER_GROUPS === 0,
  );
  return fitting.flatMap((each) =>
    dtypes.flatMap((dtype) =>
      (['channels-first', 'channels-last'] as const).map((layout): GpuCandidate => {
        const options = { dtype, layout, device };
        return {
          ...described(each, sizes, options),
          time: (plan) =>
            scope(() => {
              const inputs = Object.entries(makeInputs(each, sizes, options));
              const handles = Object.fromEntries(inputs.map(([name, { handle }]) => [name, handle]));
              return native().timeOperator(each.native[0], handles, each.native[1], plan);
            }),
        };
      }),
    ),
  );
}

function variantName(dtype: DType, layout: Layout): string {
  return `${dtype} ${layout}`;
}

function workOf(each: OperatorCase, size: Sizes, dtype: DType): Work {
  return { flops: each.flops(size), bytes: each.elements(size) * DTYPE_BYTES[dtype] };
}
