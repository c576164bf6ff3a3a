import { boxField, checkReference, type Entry, entry, fieldError, numberField, wholeField } from './fields';
import type { InstanceAnnotations } from './instances';
import { readJsonValues } from './json-file';
import type { CocoRle } from './rle-string';

/** A detection in the form of COCO's results files. */
export interface CocoResult {
  image_id: number;
  /** COCO's id of the class. */
  category_id: number;
  /** Left edge, top edge, width and height in pixels of the image. */
  bbox?: [x: number, y: number, width: number, height: number];
  score: number;
  /** The mask, in the size of the image. */
  segmentation?: CocoRle;
}

/** What a detection is judged by. */
export type CocoTask = 'bbox' | 'segm';

/** Checks a detection against the annotations that it will be judged by; throws as {@link readResults} does. */
export function checkResult(from: Entry, truth: InstanceAnnotations, task: CocoTask): CocoResult {
  checkReference(truth.images, wholeField(from, 'image_id'), from, 'image_id');
  checkReference(truth.categories, wholeField(from, 'category_id'), from, 'category_id');
  numberField(from, 'score');
  if (task === 'bbox') boxField(from, 'bbox');
  else if (typeof from.value.segmentation !== 'object' || from.value.segmentation === null) {
    throw fieldError(from, 'segmentation', 'a mask, which --task segm is about,', from.value.segmentation);
  }
  return from.value as unknown as CocoResult;
}

/**
 * Reads a results file, a list of detections, by image. Members that the task does not need are let go. Throws
 * ERR_COCO_READ, ERR_COCO_FORMAT, and ERR_COCO_REFERENCE for an image or a category that the annotations do not have.
 */
export async function readResults(
  file: string,
  truth: InstanceAnnotations,
  task: CocoTask,
  signal?: AbortSignal,
): Promise<Map<number, CocoResult[]>> {
  const byImage = new Map<number, CocoResult[]>();
  const lists = await readJsonValues(
    file,
    (value, key, index) => {
      const from = entry(value, file, key, index ?? 0);
      if (index === undefined || key !== '') throw fieldError(from, '', 'a list of detections', value);
      const { image_id, category_id, score, bbox, segmentation } = checkResult(from, truth, task);
      const kept: CocoResult = { image_id, category_id, score };
      if (task === 'bbox' || bbox !== undefined) kept.bbox = bbox!;
      if (task === 'segm') kept.segmentation = segmentation!;
      const others = byImage.get(image_id);
      if (others === undefined) byImage.set(image_id, [kept]);
      else others.push(kept);
    },
    signal,
  );
  // An object without members, or with empty lists alone, has no value to refuse.
  if (!lists.has('')) throw fieldError(entry({}, file, '', 0), '', 'a list of detections', {});
  return byImage;
}
