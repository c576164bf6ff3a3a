import type { TimingPlan, Timing as TimingSamples } from '../binding';
import { Checkpoint } from '../checkpoint/checkpoint';
import { saveSafetensors } from '../checkpoint/save';
import { StateDict } from '../checkpoint/state-dict';
import { type Device, emptyCache } from '../device';
import { DTYPE_BYTES, type DType } from '../dtype';
import { FreqFusion, type FreqFusionOptions } from '../modules/freqfusion';
import type { Module } from '../modules/module';
import { SegNeXt, type SegNeXtOptions } from '../modules/segnext';
import { native } from '../native';
import { type CarafeOptions, carafe } from '../ops/carafe';
import { scope } from '../scope';
import { Tensor } from '../tensor';
import { answerLines } from './answer-lines';
import { environment } from './environment';
import { segnextWork } from './models';
import { freqFusionWork } from './modules';
import { carafeFlops, type Work } from './work';

// A program of its own: this package's side of bench/cuda_compare.py. Commands come as lines of JSON on standard input,
// and each is answered by one line on standard output.

interface Request {
  do: 'environment' | 'prepare' | 'time' | 'drop';
  /** prepare, time: plain runs, or runs of a captured graph. */
  contender?: 'ours' | 'graph';
  kind?: 'freqfusion' | 'carafe' | 'segnext';
  /** Options of the module or the operator. */
  case?: object;
  device?: Device;
  dtype?: DType;
  /** prepare: safetensors with the inputs and weights, and where the outputs go as float32. */
  file?: string;
  save?: string;
  runs?: number;
  warmup?: number;
}

/** What has been prepared. */
interface Prepared {
  work: Work;
  run: () => Promise<Record<string, unknown>>;
  time: (plan: TimingPlan) => Promise<TimingSamples>;
  free: () => void;
}

/** As bench/cuda_contenders.py: twice the largest last-level cache of a GPU. */
const FLUSH_BYTES = 256 << 20;

const prepared = new Map<string, Prepared>();

async function answer(request: Request): Promise<Record<string, unknown>> {
  const { contender = 'ours' } = request;
  switch (request.do) {
    case 'environment':
      return { ...environment() };
    case 'prepare': {
      const made = await prepare(request);
      prepared.get(contender)?.free();
      prepared.set(contender, made);
      // A graph is captured by the second run and replayed by the third: what is compared is a replay.
      for (let i = 0; i < (contender === 'graph' ? 2 : 0); i += 1) await scope(() => made.run());
      await save(made, request.save!);
      return { ...made.work };
    }
    case 'time': {
      const { runs: repeats, warmup, device = 'cuda' } = request;
      const ready = prepared.get(contender);
      if (ready === undefined) throw new Error(`${contender} has not been prepared`);
      const flushBytes = device === 'cpu' ? 0 : FLUSH_BYTES;
      const plan = { repeats: repeats ?? 5, warmup: warmup ?? 3, flushBytes };
      const { milliseconds, baseBytes, peakBytes } = await ready.time(plan);
      // What a graph needs it keeps: it is there before its runs and cannot be told from what was there.
      return { ms: milliseconds, ...(contender === 'graph' ? {} : { extraBytes: peakBytes - baseBytes }) };
    }
    case 'drop':
      for (const each of prepared.values()) each.free();
      prepared.clear();
      emptyCache();
      return {};
    default:
      throw new RangeError(`expected a known command, got ${String(request.do)}`);
  }
}

async function save({ run }: Prepared, file: string): Promise<void> {
  await scope(async () => {
    const outputs: Record<string, Tensor> = {};
    for (const [name, output] of Object.entries(await run())) {
      if (output instanceof Tensor) outputs[name] = output.to({ dtype: 'float32', device: 'cpu' });
    }
    await saveSafetensors(file, StateDict.from(outputs));
  });
}

async function prepare(request: Request): Promise<Prepared> {
  const { kind, device = 'cuda', dtype = 'float32', contender, file } = request;
  const source = await Checkpoint.open(file!);
  const stateDict = source.stateDict();
  const kept: Tensor[] = [];
  const take = (name: string) => {
    const value = stateDict.get(name)!.tensor().clone().to({ device, dtype });
    kept.push(value);
    return value;
  };
  const free = () => {
    for (const each of kept) each.dispose();
  };
  if (kind === 'carafe') {
    if (contender === 'graph') throw new RangeError('expected a module for a graph, got an operator');
    return prepareCarafe(request.case as CarafeOptions, take('features'), take('masks'), dtype, free);
  }
  if (kind !== 'freqfusion' && kind !== 'segnext') {
    throw new RangeError(`expected a known kind, got ${String(kind)}`);
  }
  const module =
    kind === 'segnext'
      ? new SegNeXt(request.case as SegNeXtOptions)
      : new FreqFusion(request.case as FreqFusionOptions);
  await module.loadStateDict(stateDict, { prefix: 'weights.' });
  await module.to({ device, dtype });
  const inputs: Record<string, Tensor> =
    kind === 'segnext'
      ? { image: take('image').contiguous('channels-last'), nmfBases: take('nmfBases') }
      : { hrFeat: take('hrFeat'), lrFeat: take('lrFeat') };
  kept.push(...Object.values(inputs));
  return prepareModule(module, inputs, { graphs: contender === 'graph' ? 1 : 0, dtype, free });
}

function prepareModule(
  module: FreqFusion | SegNeXt,
  inputs: Record<string, Tensor>,
  { graphs, dtype, free }: { graphs: number; dtype: DType; free: () => void },
): Prepared {
  const handles = Object.fromEntries(Object.entries(inputs).map(([name, { handle }]) => [name, handle]));
  const options = graphs > 0 ? { cudaGraph: { capacity: graphs } } : {};
  const forward = module.forward.bind(module) as (
    given: object,
    options: object,
  ) => Promise<Record<string, unknown>>;
  const [, , height, width] = (inputs.image ?? inputs.hrFeat)!.shape as [number, number, number, number];
  return {
    work:
      module instanceof SegNeXt
        ? segnextWork(module, height, width, dtype)
        : freqFusionWork(module, [height, width], dtype),
    run: async () => ({ ...(await forward(inputs, options)) }),
    time: (plan) => native().timeModule((module as Module).handle, 'forward', handles, {}, graphs, plan),
    free: () => {
      free();
      module.dispose();
    },
  };
}

function prepareCarafe(
  options: CarafeOptions,
  features: Tensor,
  masks: Tensor,
  dtype: DType,
  free: () => void,
): Prepared {
  const { kernelSize, scale = 1 } = options;
  const elements = (tensor: Tensor) => tensor.shape.reduce((a, b) => a * b, 1);
  const [channels, low] = [features.shape[1]!, elements(features)];
  const handles = { features: features.handle, masks: masks.handle };
  return {
    work: {
      flops: carafeFlops(kernelSize!, channels, masks.shape[2]! * masks.shape[3]!),
      bytes: DTYPE_BYTES[dtype] * (low + low * scale ** 2 + elements(masks)),
    },
    run: async () => ({ output: await carafe(features, masks, options) }),
    time: (plan) => native().timeOperator('carafe', handles, { kernelSize: kernelSize!, scale }, plan),
    free,
  };
}

void answerLines(answer);
