import type { LabelMap } from '../image/labels';
import { cocoIds } from './classes';
import { labelRles } from './label-rles';
import { type CocoRle, toCocoRle } from './rle-string';

/** A class's pixels in one image, in the form of COCO's results for stuff. */
export interface CocoStuffResult {
  image_id: number;
  /** COCO's id of the class. */
  category_id: number;
  /** The mask, in the size of the image. */
  segmentation: CocoRle;
}

/**
 * The classes of a label map as a COCO results file lists stuff, in the order of their indices. Classes have COCO's ids
 * where all of them are COCO's, otherwise their index from 1.
 */
export function stuffResults(
  { labels, width, height }: LabelMap,
  classes: readonly string[],
  imageId: number,
): CocoStuffResult[] {
  const categories = cocoIds(classes);
  return labelRles(labels, height, width).map(({ label, rle }) => ({
    image_id: imageId,
    category_id: categories?.[label] ?? label + 1,
    segmentation: toCocoRle(rle),
  }));
}
