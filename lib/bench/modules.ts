import { type Device, getThreads, setThreads } from '../device';
import { DTYPE_BYTES, type DType } from '../dtype';
import { FreqFusion, type FreqFusionOptions } from '../modules/freqfusion';
import { native } from '../native';
import { scope } from '../scope';
import type { GpuCandidate } from './gpu';
import { makeMap } from './inputs';
import { type Candidate, type Measured, measure, type RunOptions } from './measure';
import { freqFusionFlops, parameterElements, type Work } from './work';

/** A FreqFusion and the size of its hr map; lr has half its sides. */
export interface ModuleCase {
  name: string;
  options: FreqFusionOptions;
  /** Height and width of hr. */
  size: readonly [number, number];
}

function moduleCase(name: string, channels: number, size: [number, number], resample: boolean): ModuleCase {
  return {
    name,
    size,
    options: { hrChannels: channels, lrChannels: channels, featureResample: resample },
  };
}

/** The cases that this project is measured by, and a small one. */
export const MODULE_CASES: Readonly<Record<string, ModuleCase>> = {
  A: moduleCase('A', 128, [512, 512], false),
  B: moduleCase('B', 128, [512, 512], true),
  C: moduleCase('C', 256, [200, 304], true),
  D: moduleCase('D', 64, [128, 128], true),
  small: moduleCase('small', 16, [32, 32], true),
};

/** What a case computes, in words: "128 x 512 x 512, offset generator". */
export function describeCase({ options, size }: ModuleCase): string {
  const generator = options.featureResample ? ', offset generator' : '';
  return `${options.hrChannels} x ${size.join(' x ')}${generator}`;
}

/** What FreqFusion's forward must compute, read and write at least. */
export function freqFusionWork(
  module: FreqFusion,
  [height, width]: readonly [number, number],
  dtype: DType,
): Work {
  const { options } = module;
  const parameters = module.stateInfo();
  const high = height * width;
  const { hrChannels, lrChannels, lowpassKernel = 5, upGroup = 1 } = options;
  const elements =
    2 * hrChannels * high +
    lrChannels * (high + high / 4) +
    lowpassKernel ** 2 * upGroup * high +
    parameterElements(parameters);
  return {
    flops: freqFusionFlops(options, parameters, [height, width]),
    bytes: elements * DTYPE_BYTES[dtype],
  };
}

/** Options of the measurements of FreqFusion. */
export interface ModuleBenchOptions extends RunOptions {
  dtypes: readonly DType[];
  device: Device;
  onProgress?: (name: string) => void;
}

/** Measures FreqFusion's forward, the dtypes of one case interleaved. Must run inside a scope. */
export async function benchModules(
  cases: readonly ModuleCase[],
  { dtypes, device, onProgress, ...runs }: ModuleBenchOptions,
): Promise<Measured[]> {
  const results: Measured[] = [];
  for (const each of cases) {
    onProgress?.(`FreqFusion ${each.name}`);
    await scope(async () => {
      const candidates: Candidate[] = [];
      for (const dtype of dtypes) candidates.push(await moduleCandidate(each, dtype, device));
      results.push(...(await measure(candidates, runs)));
    });
  }
  return results;
}

/** FreqFusion with weights from a seed, and its inputs in memory. They belong to the scope that they are made in. */
async function prepare(each: ModuleCase, dtype: DType, device: Device) {
  const module = await new FreqFusion({ compressedChannels: 64, ...each.options }).initialize(0);
  await module.to({ dtype, device });
  const [height, width] = each.size;
  const options = { dtype, device, layout: 'channels-first' as const };
  const hrFeat = makeMap([1, each.options.hrChannels, height, width], 1, options);
  const lrFeat = makeMap([1, each.options.lrChannels, height / 2, width / 2], 2, options);
  return { module, hrFeat, lrFeat };
}

/** FreqFusion's forward on a GPU, as it is and captured in a CUDA graph. Made when it is timed, and freed after it. */
export function gpuModules(
  each: ModuleCase,
  { dtypes, device }: Pick<ModuleBenchOptions, 'dtypes' | 'device'>,
): GpuCandidate[] {
  return dtypes.flatMap((dtype) =>
    [0, 1].map((graphs): GpuCandidate => {
      using module = new FreqFusion({ compressedChannels: 64, ...each.options });
      return {
        name: `FreqFusion ${each.name}`,
        variant: graphs === 0 ? dtype : `${dtype}, graph`,
        shape: describeCase(each),
        work: freqFusionWork(module, each.size, dtype),
        time: (plan) =>
          scope(async () => {
            const prepared = await prepare(each, dtype, device);
            const inputs = { hrFeat: prepared.hrFeat.handle, lrFeat: prepared.lrFeat.handle };
            return native().timeModule(prepared.module.handle, 'forward', inputs, {}, graphs, plan);
          }),
      };
    }),
  );
}

/** FreqFusion with weights from a seed and inputs in memory, ready to run. Belongs to the scope that it is made in. */
export async function moduleCandidate(each: ModuleCase, dtype: DType, device: Device): Promise<Candidate> {
  const { module, hrFeat, lrFeat } = await prepare(each, dtype, device);
  return {
    name: `FreqFusion ${each.name}`,
    variant: dtype,
    shape: describeCase(each),
    work: freqFusionWork(module, each.size, dtype),
    run: async () => {
      const outputs = await module.forward({ hrFeat, lrFeat });
      for (const output of Object.values(outputs)) output.dispose();
    },
  };
}

/** What more threads bring. */
export interface ThreadScaling {
  case: string;
  threads: number;
  /** Milliseconds, medians. */
  one: number;
  all: number;
  /** one / all. */
  speedup: number;
}

/** Measures a case with one thread and with as many as are set, interleaved. */
export async function benchThreads(each: ModuleCase, { runs }: RunOptions): Promise<ThreadScaling> {
  const threads = getThreads();
  return scope(async () => {
    const candidate = await moduleCandidate(each, 'float32', 'cpu');
    const withThreads = (count: number): Candidate => ({
      ...candidate,
      run: () => {
        setThreads(count);
        return candidate.run();
      },
    });
    try {
      const [one, all] = await measure([withThreads(1), withThreads(threads)], { runs });
      const [slow, fast] = [one!.ms.median, all!.ms.median];
      return { case: each.name, threads, one: slow, all: fast, speedup: slow / fast };
    } finally {
      setThreads(threads);
    }
  });
}
