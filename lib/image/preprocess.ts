import type { OptionRecord } from '../binding';
import { checkTensor } from '../check';
import type { JobOptions } from '../jobs';
import type { PreprocessOptions } from '../modules/segmentation-options';
import { runOperator } from '../ops/run';
import type { Tensor } from '../tensor';

export type { PreprocessOptions } from '../modules/segmentation-options';

/** What {@link preprocessSizes} gives. */
export interface PreprocessedSizes {
  /** int64 [N, 2]: height and width after `resize`. */
  resized: Tensor<'int64'>;
  /** int64 [N, 2]: height and width of the network's input. */
  network: Tensor<'int64'>;
  /**
   * float32 [N, 4]: by what x, y, x, y in the input are divided to get the image's own coordinates. Both factors
   * differ a little, as each side is rounded by itself.
   */
  scaleFactor: Tensor<'float32'>;
}

/** What {@link preprocess} gives. The first two may share their memory, also with the image. */
export interface PreprocessedImage {
  /** After `resize` [h, w, 3]. */
  resized: Tensor<'uint8'>;
  /** After stretching to a multiple [H, W, 3]; `resized` where nothing is stretched. */
  multiple: Tensor<'uint8'>;
  /** The network's input [1, 3, H, W]: normalised, and padded where asked for. */
  input: Tensor<'float32'>;
}

/**
 * Makes a network input of an image: resizing with OpenCV's rounding, normalisation, padding.
 *
 * @param image uint8 [H, W, 3], RGB, on the CPU
 * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; ERR_OPTION_TYPE, ERR_OPTION_VALUE,
 *   ERR_OPTION_UNKNOWN for wrong options; AbortError ERR_ABORTED
 *
 * Source: mmcv's imrescale, imresize_to_multiple and imnormalize; cv2.resize.
 */
export async function preprocess(
  image: Tensor,
  { signal, ...options }: PreprocessOptions & JobOptions = {},
): Promise<PreprocessedImage> {
  checkTensor(image, 'image', { rank: 3, dtype: ['uint8'] });
  const given = options as unknown as OptionRecord;
  return (await runOperator('preprocess', { image }, given, { signal })) as unknown as PreprocessedImage;
}

/**
 * The sizes that {@link preprocess} gives to images, without the images.
 *
 * @param sizes int64 [N, 2], height and width, on the CPU
 * @throws as {@link preprocess}
 */
export async function preprocessSizes(
  sizes: Tensor,
  { signal, ...options }: PreprocessOptions & JobOptions = {},
): Promise<PreprocessedSizes> {
  checkTensor(sizes, 'sizes', { rank: 2, dtype: ['int64'] });
  const given = options as unknown as OptionRecord;
  return (await runOperator('preprocess_sizes', { sizes }, given, {
    signal,
  })) as unknown as PreprocessedSizes;
}
