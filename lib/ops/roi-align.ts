import { checkBoolean, checkInteger, checkNumber, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Boxes have float64 coordinates beside float64 maps, and float32 ones beside all others. */
export type BoxType<D extends DType> = D extends 'float64' ? 'float64' : 'float32';

interface BinOptions extends JobOptions {
  /** Bins per box: one number for both sides, or [height, width]; 1 to 256. Default 7. */
  outputSize?: number | readonly [height: number, width: number];
  /** Samples per bin and side, 0 to 64. Default 0: ceil(side of the box / bins), box by box. */
  samplingRatio?: number;
  /** Shift by half a pixel, so that bins and pixels share their centres. Default true; false is the older convention. */
  aligned?: boolean;
}

/** Options of {@link roiAlign}. */
export interface RoiAlignOptions extends BinOptions {
  /** Pixels of the map per unit of the boxes: 1 / stride. Default 1. */
  spatialScale?: number;
}

/** Options of {@link roiExtract}. */
export interface RoiExtractOptions extends BinOptions {
  /** Image pixels per pixel of each level, finest first, such as [4, 8, 16, 32]. */
  strides: readonly number[];
  /** Boxes whose sqrt(area) is below twice this are pooled from the finest level. Default 56. */
  finestScale?: number;
}

function bins(options: BinOptions) {
  const { outputSize = 7 } = options;
  const sides = typeof outputSize === 'number' ? [outputSize, outputSize] : outputSize;
  if (!Array.isArray(sides) || sides.length !== 2) {
    throw invalidArgument('ERR_TYPE', 'outputSize', 'a number or [height, width]', outputSize);
  }
  return {
    outHeight: checkInteger(sides[0], 'outputSize', 1, 256),
    outWidth: checkInteger(sides[1], 'outputSize', 1, 256),
    samplingRatio: checkInteger(options.samplingRatio ?? 0, 'samplingRatio', 0, 64),
    aligned: checkBoolean(options.aligned ?? true, 'aligned'),
  };
}

function checkRois(rois: Tensor, beside: Tensor): void {
  checkTensor(rois, 'rois', { rank: 2, dtype: [beside.dtype === 'float64' ? 'float64' : 'float32'] });
  if (rois.shape[1] !== 5) throw invalidArgument('ERR_SHAPE', 'rois', 'shape [K, 5]', rois.shape);
  if (rois.device !== beside.device) {
    throw invalidArgument(
      'ERR_DEVICE',
      'rois',
      `device ${beside.device}, as the tensors beside it`,
      rois.device,
    );
  }
}

function resolve(options: RoiAlignOptions) {
  return {
    ...bins(options),
    spatialScale: checkNumber(options.spatialScale ?? 1, 'spatialScale', { above: 0 }),
  };
}

/**
 * Pools every box into a grid of bins, each the mean of bilinear samples of the map.
 *
 * A sample outside [-1, H] x [-1, W] counts as 0. With samplingRatio 0 a box without area gives 0. A box that is not
 * finite gives NaN.
 *
 * @param features [N, C, H, W], float32, float64, float16 or bfloat16 (halves accumulate in float32)
 * @param rois [K, 5]: image index, x1, y1, x2, y2; float32 (float64 beside float64 features)
 * @returns [K, C, height, width] of outputSize
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_DEVICE, ERR_RANGE, ERR_TYPE; FreqFusionError ERR_ARGUMENT for an image
 *   index outside 0..N-1; AbortError ERR_ABORTED
 *
 * Source: Mask R-CNN, ICCV 2017 (mmcv ops/roi_align).
 */
export async function roiAlign<D extends DType>(
  features: Tensor<D>,
  rois: Tensor<BoxType<D>>,
  options: RoiAlignOptions = {},
): Promise<Tensor<D>> {
  const resolved = resolve(options);
  checkTensor(features, 'features', { rank: 4, dtype: FLOATING });
  checkRois(rois, features);
  const { output } = await runOperator<'output'>('roi_align', { features, rois }, resolved, options);
  return output as Tensor<D>;
}

/**
 * Gradient of {@link roiAlign} with respect to its features; none goes to the boxes.
 *
 * @param gradOutput [K, C, height, width], the gradient of the output
 * @param shape [N, C, H, W] of the features
 * @throws as roiAlign
 */
export async function roiAlignBackward<D extends DType>(
  gradOutput: Tensor<D>,
  rois: Tensor<BoxType<D>>,
  shape: readonly number[],
  options: RoiAlignOptions = {},
): Promise<Tensor<D>> {
  const resolved = resolve(options);
  if (!Array.isArray(shape) || shape.length !== 4)
    throw invalidArgument('ERR_SHAPE', 'shape', '[N, C, H, W]', shape);
  for (const side of shape) checkInteger(side, 'shape', 0);
  checkTensor(gradOutput, 'gradOutput', { rank: 4, dtype: FLOATING, channels: shape[1]! });
  checkRois(rois, gradOutput);
  const wanted = [rois.shape[0]!, shape[1]!, resolved.outHeight, resolved.outWidth];
  if (wanted.some((side, i) => side !== gradOutput.shape[i])) {
    throw invalidArgument('ERR_SHAPE', 'gradOutput', `shape [${wanted.join(', ')}]`, gradOutput.shape);
  }
  const { gradFeatures } = await runOperator<'gradFeatures'>(
    'roi_align_backward',
    { gradOutput, rois },
    { ...resolved, sizes: shape },
    options,
  );
  return gradFeatures as Tensor<D>;
}

/**
 * The level of a feature pyramid that each box is pooled from: floor(log2(sqrt(w * h) / finestScale + 1e-6)), at least
 * 0 and at most levels - 1.
 *
 * @param rois [K, 5], or boxes [K, 4]
 * @returns int64 [K]
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_RANGE; AbortError ERR_ABORTED
 *
 * Source: FPN, CVPR 2017 (mmdet SingleRoIExtractor).
 */
export async function roiLevels(
  rois: Tensor,
  options: { levels: number; finestScale?: number } & JobOptions,
): Promise<Tensor<'int64'>> {
  const levels = checkInteger(options.levels, 'levels', 1, 64);
  const finestScale = checkNumber(options.finestScale ?? 56, 'finestScale', { above: 0 });
  checkTensor(rois, 'rois', { rank: 2, dtype: FLOATING });
  if (rois.shape[1] !== 4 && rois.shape[1] !== 5) {
    throw invalidArgument('ERR_SHAPE', 'rois', 'shape [K, 4] or [K, 5]', rois.shape);
  }
  const { output } = await runOperator<'output'>('roi_levels', { rois }, { levels, finestScale }, options);
  return output as Tensor<'int64'>;
}

/**
 * {@link roiAlign} of every box on the level of a pyramid that {@link roiLevels} gives it.
 *
 * @param features maps [N, C, H, W], finest first, one a stride
 * @param rois [K, 5]: image index, x1, y1, x2, y2 in image pixels
 * @returns [K, C, height, width] of outputSize
 * @throws as roiAlign
 *
 * Source: FPN, CVPR 2017 (mmdet SingleRoIExtractor).
 */
export async function roiExtract<D extends DType>(
  features: readonly Tensor<D>[],
  rois: Tensor<BoxType<D>>,
  options: RoiExtractOptions,
): Promise<Tensor<D>> {
  const resolved = bins(options);
  const finestScale = checkNumber(options.finestScale ?? 56, 'finestScale', { above: 0 });
  if (!Array.isArray(features) || features.length === 0) {
    throw invalidArgument('ERR_TYPE', 'features', 'a list of at least one Tensor', features);
  }
  const { strides } = options;
  if (!Array.isArray(strides) || strides.length !== features.length) {
    throw invalidArgument('ERR_SHAPE', 'strides', `${features.length} numbers`, strides);
  }
  const inputs: Record<string, Tensor> = { rois };
  const first: Tensor<D> = features[0];
  features.forEach((map: Tensor<D>, i: number) => {
    const name = `features[${i}]`;
    checkTensor(map, name, { rank: 4, dtype: FLOATING });
    checkTensor(map, name, { like: first, channels: first.shape[1]! });
    if (map.shape[0] !== first.shape[0])
      throw invalidArgument('ERR_SHAPE', name, `${first.shape[0]} images`, map.shape);
    inputs[`features${i}`] = map;
  });
  checkRois(rois, first);
  const spatialScales = strides.map((stride: number) => 1 / checkNumber(stride, 'strides', { above: 0 }));
  const { output } = await runOperator<'output'>(
    'roi_extract',
    inputs,
    { ...resolved, spatialScales, finestScale },
    options,
  );
  return output as Tensor<D>;
}
