import type { FreqFusionOptions } from '../modules/freqfusion';

/** What a computation cannot do without. */
export interface Work {
  /** Floating-point operations; a multiply-add is two, an exponential one. */
  flops: number;
  /** Bytes of what must be read (inputs, weights) and written (outputs), each once. */
  bytes: number;
}

/** A parameter of a network, of which only its name and shape count here. */
export interface ParameterShape {
  name: string;
  shape: readonly number[];
}

/** Sum of several pieces of work. */
export function total(...parts: readonly Work[]): Work {
  return {
    flops: parts.reduce((sum, { flops }) => sum + flops, 0),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** CARAFE with k x k kernels: `channels` maps of `pixels` output pixels. */
export function carafeFlops(k: number, channels: number, pixels: number): number {
  return 2 * k * k * channels * pixels;
}

/** The kernel normaliser: per tap the greatest, exponential, sum, window, second sum and quotient. */
export function normalizerFlops(taps: number, pixels: number): number {
  return 6 * taps * pixels;
}

/** Cosine similarities of a window: each pair of pixels once, and every pixel's norm. */
export function similarityFlops(k: number, channels: number, pixels: number): number {
  return 2 * ((k * k - 1) / 2 + 1) * channels * pixels;
}

/** Bilinear sampling: four taps an output value. */
export function samplerFlops(channels: number, pixels: number): number {
  return 8 * channels * pixels;
}

/** Operations of all convolutions among `parameters`; `pixelsOf` gives the output pixels of one, 0 for none. */
export function convolutionFlops(
  parameters: readonly ParameterShape[],
  pixelsOf: (name: string) => number,
): number {
  return parameters
    .filter(({ name, shape }) => shape.length === 4 && name.endsWith('weight'))
    .reduce((sum, { name, shape }) => sum + 2 * shape.reduce((a, b) => a * b, 1) * pixelsOf(name), 0);
}

/** Elements of all parameters. */
export function parameterElements(parameters: readonly ParameterShape[]): number {
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** FreqFusion in its default flow (semiConv, compFeatUpsample) on hr of `height` x `width`. */
export function freqFusionFlops(
  options: FreqFusionOptions,
  parameters: readonly ParameterShape[],
  [height, width]: readonly [number, number],
): number {
  const {
    hrChannels,
    lrChannels,
    compressedChannels = 64,
    lowpassKernel = 5,
    highpassKernel = 3,
    featureResample = false,
  } = options;
  const high = height * width;
  const low = high / 4;
  const convolutions = convolutionFlops(parameters, (name) => {
    if (name.startsWith('content_encoder')) return high + low;
    if (name.startsWith('hr_') || name.startsWith('dysampler.hr_')) return high;
    return name.startsWith('lr_') || name.startsWith('dysampler.') ? low : 0;
  });
  const [kl, kh] = [lowpassKernel, highpassKernel];
  const filters =
    carafeFlops(kh, compressedChannels + hrChannels, high) +
    carafeFlops(kl, kl * kl + kh * kh + lrChannels, high) +
    normalizerFlops(2 * kl * kl + 2 * kh * kh, high);
  const resampling = featureResample
    ? similarityFlops(3, compressedChannels, high + low) + samplerFlops(lrChannels, high)
    : 0;
  return convolutions + filters + resampling;
}
