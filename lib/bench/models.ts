import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Device } from '../device';
import { DTYPE_BYTES, type DType } from '../dtype';
import { decodeImage } from '../image/decode';
import { bundledPage, loadModel } from '../models/load';
import { SegNeXt } from '../modules/segnext';
import { SEGNEXT_VARIANTS } from '../modules/segnext-variants';
import { native } from '../native';
import { scope } from '../scope';
import { tensor } from '../tensor';
import type { GpuCandidate } from './gpu';
import { makeMap, uniform } from './inputs';
import { type Candidate, type Measured, measure, type RunOptions } from './measure';
import { type Timing, timing } from './statistics';
import {
  carafeFlops,
  convolutionFlops,
  normalizerFlops,
  type ParameterShape,
  parameterElements,
  samplerFlops,
  similarityFlops,
  type Work,
} from './work';

/** Mean and deviation of ADE20K's pipeline: what is left of it for an image that has the network's size already. */
const NORMALISATION = { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] } as const;

/** Output stride of every part of a SegNeXt with FreqFusion in its head. */
function strideOf(name: string): number {
  if (/^backbone\.patch_embed1\.proj\.0\./.test(name)) return 2;
  const stage = /^backbone\.(?:patch_embed|block)([1-4])\./.exec(name)?.[1];
  return stage === undefined ? 8 : 2 ** (Number(stage) + 1);
}

/** Operations of one FreqFusion of a head: hr has the given stride; the similarities' own flow, `directionFeat` 'sim'. */
export function fusionFlops(parameters: readonly ParameterShape[], prefix: string, high: number): number {
  const own = parameters.filter(({ name }) => name.startsWith(prefix));
  const channels = (name: string) =>
    own.find((each) => each.name === `${prefix}${name}.weight`)?.shape ?? [0, 0, 0, 0];
  const [compressed, hr] = channels('hr_channel_compressor') as [number, number];
  const lr = channels('lr_channel_compressor')[1]!;
  const low = high / 4;
  const convolutions = convolutionFlops(own, (name) => {
    const part = name.slice(prefix.length);
    if (part.startsWith('content_encoder')) return high + low;
    return part.startsWith('hr_') || part.startsWith('dysampler.hr_') ? high : low;
  });
  return (
    convolutions +
    carafeFlops(3, compressed + hr, high) +
    carafeFlops(5, 25 + 9 + lr, high) +
    normalizerFlops(2 * 25 + 2 * 9, high) +
    similarityFlops(3, compressed, high + low) +
    samplerFlops(lr, high)
  );
}

/**
 * What SegNeXt must compute for an image of `height` x `width` pixels, multiples of 32: convolutions and FreqFusion.
 * Norms, activations and the Hamburger are left out, a few percent. Bytes: image, weights and labels.
 */
export function segnextWork(network: SegNeXt, height: number, width: number, dtype: DType): Work {
  const parameters = network.stateInfo();
  const pixels = height * width;
  const fusion = 'decode_head.freqfusions.';
  const plain = parameters.filter(({ name }) => !name.startsWith(fusion));
  const count = new Set(
    parameters
      .map(({ name }) => /^decode_head\.freqfusions\.(\d+)\./.exec(name)?.[1])
      .filter((index) => index !== undefined),
  ).size;
  let flops = convolutionFlops(plain, (name) => pixels / strideOf(name) ** 2);
  for (let i = 0; i < count; i += 1) {
    // The last one ends at stride 8, each before it at twice that.
    flops += fusionFlops(parameters, `${fusion}${i}.`, pixels / (8 * 2 ** (count - 1 - i)) ** 2);
  }
  return { flops, bytes: 4 * pixels + parameterElements(parameters) * DTYPE_BYTES[dtype] };
}

/** Options of {@link benchModels}. */
export interface ModelBenchOptions extends RunOptions {
  dtype: DType;
  device: Device;
  /** Height and width of the image. */
  size: readonly [number, number];
  onProgress?: (name: string) => void;
}

/**
 * Measures whole models from pixels to labels, preprocessing included: the bundled page model on one of its pages, and
 * SegNeXt-T with FreqFusion, with weights from a seed, on an image of the given size.
 */
export async function benchModels({
  dtype,
  device,
  size,
  onProgress,
  ...runs
}: ModelBenchOptions): Promise<Measured[]> {
  const results: Measured[] = [];
  onProgress?.('bundled page model');
  await scope(async () => results.push(...(await measure([await bundled(dtype, device)], runs))));
  onProgress?.('SegNeXt-T + FreqFusion');
  await scope(async () => results.push(...(await measure([await tiny(dtype, device, size)], runs))));
  return results;
}

async function bundled(dtype: DType, device: Device): Promise<Candidate> {
  const model = await loadModel(undefined, { dtype, device });
  const image = await decodeImage(bundledPage());
  // Its pipeline makes the longer side 640 pixels and pads both to multiples of 32.
  const scale = 640 / Math.max(image.height, image.width);
  const [height, width] = [image.height, image.width].map((side) => padded(Math.round(side * scale)));
  return {
    name: 'bundled page model',
    variant: dtype,
    shape: `${image.height} x ${image.width} page`,
    work: segnextWork(model.network, height!, width!, dtype),
    run: async () => (await model.segment(image)).dispose(),
  };
}

async function tiny(
  dtype: DType,
  device: Device,
  [height, width]: readonly [number, number],
): Promise<Candidate> {
  const network = await new SegNeXt(SEGNEXT_VARIANTS.tiny).initialize(0);
  await network.to({ dtype, device });
  const pixels = Uint8Array.from(uniform(height * width * 3, 1, 0, 256));
  const image = tensor(pixels, [height, width, 3]);
  const preprocess = { ...NORMALISATION, multiple: { divisor: 32, how: 'pad' as const } };
  return {
    name: 'SegNeXt-T + FreqFusion',
    variant: dtype,
    shape: `${height} x ${width}`,
    work: segnextWork(network, padded(height), padded(width), dtype),
    run: async () => {
      for (const output of Object.values(await network.segment(image, { preprocess }))) output.dispose();
    },
  };
}

/** SegNeXt-T with FreqFusion on a GPU, from the normalised image to its logits, as it is and captured in a CUDA graph. */
export function gpuModels(
  [height, width]: readonly [number, number],
  dtypes: readonly DType[],
  device: Device,
): GpuCandidate[] {
  using described = new SegNeXt(SEGNEXT_VARIANTS.tiny);
  const sides = [padded(height), padded(width)] as const;
  return dtypes.flatMap((dtype) =>
    [0, 1].map(
      (graphs): GpuCandidate => ({
        name: 'SegNeXt-T + FreqFusion, network',
        variant: graphs === 0 ? dtype : `${dtype}, graph`,
        shape: sides.join(' x '),
        work: segnextWork(described, ...sides, dtype),
        time: (plan) =>
          scope(async () => {
            const network = await new SegNeXt(SEGNEXT_VARIANTS.tiny).initialize(0);
            await network.to({ dtype, device });
            const image = makeMap([1, 3, ...sides], 1, { dtype, device, layout: 'channels-last' }, [-2, 2]);
            return native().timeModule(network.handle, 'forward', { image: image.handle }, {}, graphs, plan);
          }),
      }),
    ),
  );
}

function padded(side: number): number {
  return 32 * Math.ceil(side / 32);
}

/**
 * Time from the start of a process to its first segmented page, with the bundled model: loading Node, the addon and
 * libtorch, reading the checkpoint, decoding, and the first run of everything. Files are in the system's cache.
 */
export async function benchFirstPage(runs: number): Promise<Timing> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) times.push(await firstPage());
  return timing(times);
}

function firstPage(): Promise<number> {
  const since = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(__dirname, 'first-page.js')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let taken: number | undefined;
    child.stdout.once('data', () => {
      taken = performance.now() - since;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (taken !== undefined && code === 0) resolve(taken);
      else reject(new Error(`the process that segments the first page ended with ${code}`));
    });
  });
}
