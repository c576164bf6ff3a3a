import type { InstanceAnnotations } from '../coco/instances';
import type { CocoResult } from '../coco/results';
import { CocoError } from '../errors';
import { DetectionEvaluator, type DetectionEvaluatorOptions } from './detection-evaluator';
import type { DetectionReport } from './detection-report';
import {
  categoriesOf,
  checkSize,
  type DataSetRunOptions,
  type Detector,
  detectImages,
  type FoundObjects,
} from './detector';

/** Options of {@link evaluateDetector}. */
export interface EvaluateDetectorOptions extends DetectionEvaluatorOptions, DataSetRunOptions {
  /** Gets the detections of every image, for a results file. */
  onResults?: (results: CocoResult[], imageId: number) => Promise<void> | void;
}

/**
 * Runs a detector over the images of an instances file and scores what it finds. Classes are the categories of the
 * same names; detections of a class that the annotations do not have are left out. Throws ERR_COCO_REFERENCE where no
 * name is the same, ERR_NOT_SUPPORTED where masks are to be judged and the model has none, ERR_IMAGE_SIZE for an
 * image whose size is not the stated one, and what detecting throws.
 * @param folder where the images lie.
 */
export async function evaluateDetector(
  model: Detector,
  truth: InstanceAnnotations,
  folder: string,
  options: EvaluateDetectorOptions = {},
): Promise<DetectionReport> {
  const { onResults, batch, onProgress, signal, ...settings } = options;
  const evaluator = new DetectionEvaluator(truth, settings);
  const categories = categoriesOf(model.classes, truth.categories.values(), truth.file);
  const images = evaluator.imageIds.map((id) => truth.images.get(id)!);
  const run = {
    ...(batch !== undefined && { batch }),
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  };
  for await (const { image, found } of detectImages(model, images, folder, run)) {
    checkSize(image, found, image.fileName);
    const results = resultsOf(found, image.id, categories);
    if (evaluator.task === 'segm') checkMasks(found);
    evaluator.add(image.id, results);
    await onResults?.(results, image.id);
  }
  return evaluator.report();
}

function resultsOf(
  { detections }: FoundObjects,
  imageId: number,
  categories: readonly (number | undefined)[],
): CocoResult[] {
  return detections.flatMap(({ box: [x1, y1, x2, y2], score, label, mask }) => {
    const category = categories[label];
    if (category === undefined) return [];
    const result: CocoResult = {
      image_id: imageId,
      category_id: category,
      bbox: [x1, y1, x2 - x1, y2 - y1],
      score,
      ...(mask && { segmentation: mask.toCoco() }),
    };
    return [result];
  });
}

function checkMasks({ detections }: FoundObjects): void {
  if (detections.every(({ mask }) => mask !== undefined)) return;
  const expected = 'a model that finds masks';
  throw new CocoError(
    'ERR_NOT_SUPPORTED',
    `expected ${expected} for the task segm, got one that finds boxes alone`,
    {
      expected,
      actual: 'boxes alone',
    },
  );
}
