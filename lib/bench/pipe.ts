import { Checkpoint } from '../checkpoint/checkpoint';
import { saveSafetensors } from '../checkpoint/save';
import { StateDict } from '../checkpoint/state-dict';
import { setThreads } from '../device';
import type { DecodedImage } from '../image/types';
import { loadModel } from '../models/load';
import { FreqFusion, type FreqFusionOptions } from '../modules/freqfusion';
import { MaskRcnn } from '../modules/two-stage-detector';
import { carafe } from '../ops/carafe';
import { scope } from '../scope';
import { type Tensor, tensor } from '../tensor';
import { answerLines } from './answer-lines';
import { maskRcnnWork } from './detectors';
import { environment } from './environment';
import { peakRss, resetPeakRss } from './memory';
import { segnextWork } from './models';
import { freqFusionWork } from './modules';
import { RoofMeter } from './roofs';
import { carafeFlops, type Work } from './work';

// A program of its own: this package's side of bench/compare.py. Commands come as lines of JSON on standard input, and
// each is answered by one line on standard output.

interface Request {
  do: 'environment' | 'prepare' | 'run' | 'save' | 'roofs' | 'peak';
  threads?: number | null;
  /** prepare: what to compute. */
  kind?: 'freqfusion' | 'carafe' | 'segnext' | 'mask_rcnn';
  options?: FreqFusionOptions;
  /** prepare: safetensors with the inputs, for FreqFusion the weights as well; save: where the outputs go. */
  file?: string;
  /** prepare, whole models: safetensors with the weights. */
  checkpoint?: string;
}

/** What has been prepared: a run whose outputs the caller frees. */
interface Prepared {
  work: Work;
  run: () => Promise<Outputs>;
  /** Where the outputs that are compared take more than a run gives. */
  save?: () => Promise<Record<string, Tensor>>;
}

type Outputs = Record<string, Tensor> | undefined;

let prepared: Prepared | undefined;

async function answer(request: Request): Promise<Record<string, unknown>> {
  if (request.threads !== undefined && request.threads !== null) setThreads(request.threads);
  switch (request.do) {
    case 'environment':
      return { ...environment() };
    case 'prepare':
      prepared = await prepare(request);
      return { ...prepared.work };
    case 'run':
      return { ms: await timed(ready()) };
    case 'save':
      await save(ready(), request.file!);
      return {};
    case 'roofs': {
      const { copy, stream, fma } = await new RoofMeter().sample(3);
      return { copy, stream, fma };
    }
    case 'peak':
      return { bytes: peakRss(), exact: resetPeakRss() };
    default:
      throw new RangeError(`expected a known command, got ${String(request.do)}`);
  }
}

function ready(): Prepared {
  if (prepared === undefined) throw new Error('nothing has been prepared');
  return prepared;
}

async function timed({ run }: Prepared): Promise<number> {
  const since = performance.now();
  const outputs = await run();
  const taken = performance.now() - since;
  for (const output of Object.values(outputs ?? {})) output.dispose();
  return taken;
}

async function save(each: Prepared, file: string): Promise<void> {
  await scope(async () => {
    const outputs = (await (each.save ?? each.run)()) ?? {};
    await saveSafetensors(file, StateDict.from(outputs));
  });
}

async function prepare({ kind, options, file, checkpoint }: Request): Promise<Prepared> {
  const source = await Checkpoint.open(file!);
  const stateDict = source.stateDict();
  const take = (name: string) => stateDict.get(name)!.tensor().clone();
  switch (kind) {
    case 'freqfusion':
      return prepareFreqFusion(options!, stateDict, take);
    case 'carafe': {
      const [features, masks] = [take('features'), take('masks')];
      const channels = features.shape[1]!;
      const pixels = masks.shape[2]! * masks.shape[3]!;
      return {
        work: {
          flops: carafeFlops(5, channels, pixels),
          bytes: 4 * (channels * (pixels / 4 + pixels) + 25 * pixels),
        },
        run: async () => ({ output: await carafe(features, masks, { kernelSize: 5, scale: 2 }) }),
      };
    }
    case 'segnext':
      return prepareSegNeXt(checkpoint!, take);
    case 'mask_rcnn':
      return prepareMaskRcnn(checkpoint!, take);
    default:
      throw new RangeError(`expected a known kind, got ${String(kind)}`);
  }
}

async function prepareFreqFusion(
  options: FreqFusionOptions,
  stateDict: StateDict,
  take: (name: string) => Tensor,
): Promise<Prepared> {
  const module = new FreqFusion(options);
  await module.loadStateDict(stateDict, { prefix: 'weights.' });
  const [hrFeat, lrFeat] = [take('hrFeat'), take('lrFeat')];
  const [, , height, width] = hrFeat.shape as [number, number, number, number];
  return {
    work: freqFusionWork(module, [height, width], 'float32'),
    run: async () => ({ ...(await module.forward({ hrFeat, lrFeat })) }),
  };
}

async function prepareSegNeXt(checkpoint: string, take: (name: string) => Tensor): Promise<Prepared> {
  const model = await loadModel(checkpoint, {
    architecture: 'segnext-tiny-freqfusion',
    nmfBases: take('nmfBases') as Tensor<'float32'>,
  });
  const pixels = take('image') as Tensor<'uint8'>;
  const [height, width] = pixels.shape as [number, number, number];
  const image: DecodedImage = {
    data: pixels.dataSync() as Uint8Array,
    width,
    height,
    channels: 3,
    format: 'raw',
  };
  return {
    work: segnextWork(model.network, height, width, 'float32'),
    run: async () => {
      (await model.segment(image)).dispose();
      return undefined;
    },
    save: async () => {
      const map = await model.segment(image, { outputs: ['logits'] });
      return { logits: map.logits!, labels: tensor(map.labels as Uint8Array, [height, width]) };
    },
  };
}

async function prepareMaskRcnn(checkpoint: string, take: (name: string) => Tensor): Promise<Prepared> {
  const network = new MaskRcnn();
  using weights = await Checkpoint.open(checkpoint);
  await network.loadStateDict(weights.stateDict());
  const image = take('image') as Tensor<'uint8'>;
  const [height, width] = image.shape as [number, number, number];
  const run = async () => ({ ...(await network.detect([image]))[0]! });
  return {
    work: maskRcnnWork(network, height, width),
    run,
    save: async () => {
      const { boxes, scores, labels, maskAreas } = await run();
      return { boxes, scores, labels, areas: maskAreas! };
    },
  };
}

void answerLines(answer);
