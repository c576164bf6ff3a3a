import type { OptionRecord } from '../binding';
import { invalidArgument } from '../errors';

/** Where an image lies in a network input, mmdetection's img_metas. */
export interface ImageMeta {
  /** Height and width of the part of the input that shows the image, at the top left. Default: all of it. */
  readonly imgShape?: readonly number[];
  /** Height and width of the original. Default: imgShape. */
  readonly oriShape?: readonly number[];
  /** imgShape divided by oriShape: [width, height]. Default: the quotients of the two, in float32. */
  readonly scaleFactor?: readonly number[];
}

/**
 * @internal Metas as flat lists, two numbers an image each, with the defaults filled in: `batch` images, each in a
 * network input of `size` [height, width].
 */
export function flatMetas(
  metas: readonly ImageMeta[] | undefined,
  batch: number,
  size: readonly number[],
): OptionRecord {
  if (metas !== undefined && (!Array.isArray(metas) || metas.length !== batch)) {
    throw invalidArgument('ERR_TYPE', 'metas', `an array of ${batch} objects, one an image`, metas);
  }
  const filled = Array.from({ length: batch }, (_, i) => filledMeta(metas?.[i], size, `metas[${i}]`));
  const flat = (name: keyof ImageMeta) => filled.flatMap((meta) => meta[name]);
  return { imgShapes: flat('imgShape'), oriShapes: flat('oriShape'), scaleFactors: flat('scaleFactor') };
}

type Pair = [number, number];

function filledMeta(
  meta: ImageMeta | undefined,
  size: readonly number[],
  at: string,
): Record<keyof ImageMeta, Pair> {
  const { imgShape = size, oriShape = imgShape, scaleFactor } = meta ?? {};
  const [imgHeight, imgWidth] = checkPair(imgShape, `${at}.imgShape`);
  const [oriHeight, oriWidth] = checkPair(oriShape, `${at}.oriShape`);
  const scales = scaleFactor ?? [Math.fround(imgWidth / oriWidth), Math.fround(imgHeight / oriHeight)];
  return {
    imgShape: [imgHeight, imgWidth],
    oriShape: [oriHeight, oriWidth],
    scaleFactor: checkPair(scales, `${at}.scaleFactor`),
  };
}

function checkPair(value: unknown, name: string): Pair {
  const valid = Array.isArray(value) && value.length === 2 && value.every((side) => side > 0);
  if (!valid) throw invalidArgument('ERR_OPTION_VALUE', name, 'two positive numbers', value);
  return value as Pair;
}
