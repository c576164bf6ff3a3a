import { entry, fieldError } from '../coco/fields';
import type { InstanceAnnotation, InstanceAnnotations } from '../coco/instances';
import { segmentationMask } from '../coco/instances';
import { boxIou, rleIou } from '../coco/iou';
import { type CocoResult, type CocoTask, checkResult } from '../coco/results';
import { type CocoBox, type Rle, rleArea } from '../coco/run-lengths';
import { invalidArgument } from '../errors';
import { type DetectionReport, reportOf } from './detection-report';
import { type Matches, matchDetections } from './matching';
import { ClassMatches, type PrecisionRecall, precisionRecall } from './precision-recall';

/** Options of {@link DetectionEvaluator}; the defaults are COCO's. */
export interface DetectionEvaluatorOptions {
  /** Judge boxes or masks. Default 'bbox'. */
  task?: CocoTask;
  /** Numbers of detections of an image, and of a class unless `useCategories` is false, that count. Default [1, 10, 100]. */
  maxDetections?: readonly [number, number, number];
  /** False: a detection may match an object of any class, as proposals are judged. Default true. */
  useCategories?: boolean;
  /** Judge these images alone. Default: all of the annotation file; an image without detections counts. */
  imageIds?: Iterable<number>;
  /** Judge these categories alone. Default: all of the annotation file. */
  categoryIds?: Iterable<number>;
  /**
   * What tells whether a wrong mask is small, medium or large: its own area, or that of its `bbox` where it has one,
   * as pycocotools does for results files with both. Default 'mask'.
   */
  segmArea?: 'mask' | 'box';
}

/** What came out of an image for one class. */
interface Judged {
  /** Place of the class. */
  readonly k: number;
  /** Of the detections that count, best first. */
  readonly scores: readonly number[];
  readonly matches: Matches;
  /** Numbers of detections and of true objects. */
  readonly detections: number;
  readonly truths: number;
}

/**
 * COCO's average precision: give it the detections of every image, in any order of the images, then ask for the
 * report. Images that are never given count as images without detections.
 */
export class DetectionEvaluator {
  readonly task: CocoTask;
  readonly maxDetections: readonly [number, number, number];
  readonly useCategories: boolean;
  /** Categories that are judged, by id. */
  readonly categoryIds: readonly number[];
  /** Images that are judged, by id. */
  readonly imageIds: readonly number[];
  readonly #truth: InstanceAnnotations;
  readonly #segmArea: 'mask' | 'box';
  readonly #classes: readonly ClassMatches[];
  readonly #left: Set<number>;
  readonly #place: ReadonlyMap<number, number>;
  #detections = 0;
  #truths = 0;

  constructor(truth: InstanceAnnotations, options: DetectionEvaluatorOptions = {}) {
    const { task = 'bbox', maxDetections = [1, 10, 100], useCategories = true, segmArea = 'mask' } = options;
    this.task = task;
    this.useCategories = useCategories;
    this.#segmArea = segmArea;
    this.#truth = truth;
    this.maxDetections = checkMaxDetections(maxDetections);
    this.imageIds = chosen(truth.images, options.imageIds, 'imageIds');
    this.categoryIds = chosen(truth.categories, options.categoryIds, 'categoryIds');
    this.#classes = (useCategories ? this.categoryIds : [0]).map(() => new ClassMatches());
    this.#left = new Set(this.imageIds);
    this.#place = new Map(this.imageIds.map((id, place) => [id, place]));
    if (task === 'segm' && !truth.masks) {
      throw invalidArgument(
        'ERR_OPTION_VALUE',
        'truth',
        "annotations read with { masks: true } for task 'segm'",
        truth,
      );
    }
  }

  /**
   * Judges the detections of an image. Throws ERR_COCO_FORMAT and ERR_COCO_REFERENCE for detections that are
   * malformed or of something that the annotations do not have, ERR_ARGUMENT for an image that was given before; nothing is
   * kept of the image then, and it can be given again.
   */
  add(imageId: number, results: readonly CocoResult[]): void {
    results.forEach((result, index) => {
      const from = entry(result, `the detections of image ${imageId}`, '', index);
      checkResult(from, this.#truth, this.task);
      if (result.image_id !== imageId) throw fieldError(from, 'image_id', `${imageId}`, result.image_id);
    });
    if (!this.#left.has(imageId)) {
      if (this.#place.has(imageId)) {
        throw invalidArgument('ERR_ARGUMENT', 'imageId', 'an image that was not added before', imageId);
      }
      if (!this.#truth.images.has(imageId)) {
        throw invalidArgument('ERR_COCO_REFERENCE', 'imageId', 'an image of the annotation file', imageId);
      }
      return;
    }
    // Everything of the image is judged before anything is kept: a mask may turn out to be malformed.
    const judged = this.#judgeImage(imageId, results);
    this.#left.delete(imageId);
    for (const { k, scores, matches, detections, truths } of judged) {
      this.#classes[k]!.add(this.#place.get(imageId)!, scores, matches);
      this.#detections += detections;
      this.#truths += truths;
    }
  }

  #judgeImage(imageId: number, results: readonly CocoResult[]): Judged[] {
    const ofCategory = groupBy(results, ({ category_id }) => category_id);
    const truthOf = groupBy(this.#truth.of(imageId), ({ categoryId }) => categoryId);
    const groups = this.useCategories ? this.categoryIds.map((id) => [id]) : [this.categoryIds];
    return groups.flatMap((ids, k) => {
      const truths = ids.flatMap((id) => truthOf.get(id) ?? []);
      const detections = ids.flatMap((id) => ofCategory.get(id) ?? []);
      if (truths.length === 0 && detections.length === 0) return [];
      return [{ k, ...this.#judge(imageId, truths, detections) }];
    });
  }

  #judge(imageId: number, truths: InstanceAnnotation[], given: CocoResult[]): Omit<Judged, 'k'> {
    const detections = given
      .slice()
      .sort((a, b) => b.score - a.score)
      .slice(0, this.maxDetections[2]);
    const { ious, areas } =
      this.task === 'bbox' ? this.#boxes(truths, detections) : this.#masks(imageId, truths, detections);
    return {
      matches: matchDetections(ious, areas, truths),
      scores: detections.map(({ score }) => score),
      detections: given.length,
      truths: truths.filter(({ crowd }) => !crowd).length,
    };
  }

  #boxes(truths: readonly InstanceAnnotation[], detections: readonly CocoResult[]) {
    const boxes = detections.map(({ bbox }) => bbox as CocoBox);
    const crowd = truths.map((truth) => truth.crowd);
    const trueBoxes = truths.map(({ box }) => box!);
    return { ious: boxIou(boxes, trueBoxes, crowd), areas: boxes.map(([, , w, h]) => w * h) };
  }

  #masks(imageId: number, truths: readonly InstanceAnnotation[], detections: readonly CocoResult[]) {
    const { height, width } = this.#truth.images.get(imageId)!;
    const masks = detections.map((detection, index): Rle => {
      const from = entry(detection, `the detections of image ${imageId}`, '', index);
      return segmentationMask(from, height, width);
    });
    const areas = detections.map(({ bbox }, i) =>
      this.#segmArea === 'box' && bbox !== undefined ? bbox[2] * bbox[3] : rleArea(masks[i]!),
    );
    // A mask is made only where there is something to compare it with.
    const trueMasks = masks.length === 0 ? [] : truths.map((truth) => this.#truth.mask(truth));
    const crowd = truths.map((truth) => truth.crowd);
    return { ious: rleIou(masks, trueMasks, crowd), areas };
  }

  /**
   * Precision and recall of every setting, of what has been given. Images that are left count as images without
   * detections, and can still be added afterwards.
   */
  precisionRecall(): PrecisionRecall {
    return precisionRecall(this.#classes, this.maxDetections, this.#objects().wanted);
  }

  /** The scores, of what has been given; see {@link precisionRecall} for images that are left. */
  report(): DetectionReport {
    const { wanted, truths } = this.#objects();
    return reportOf(precisionRecall(this.#classes, this.maxDetections, wanted), {
      task: this.task,
      maxDetections: this.maxDetections,
      images: this.imageIds.length,
      truths,
      detections: this.#detections,
      categories: this.useCategories
        ? this.categoryIds.map((id) => this.#truth.categories.get(id)!)
        : undefined,
      wanted: wanted.map(([all]) => all!),
    });
  }

  /** Objects that are to be found, [classes][areas] and all that are no crowds, with those of the images that are left. */
  #objects(): { wanted: readonly (readonly number[])[]; truths: number } {
    const wanted = this.#classes.map((matches) => [...matches.wanted]);
    let truths = this.#truths;
    for (const imageId of this.#left) {
      for (const { k, matches, truths: more } of this.#judgeImage(imageId, [])) {
        matches.wanted.forEach((count, area) => {
          wanted[k]![area]! += count;
        });
        truths += more;
      }
    }
    return { wanted, truths };
  }
}

function checkMaxDetections(value: readonly [number, number, number]): readonly [number, number, number] {
  const fits =
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((each) => Number.isSafeInteger(each) && each > 0);
  if (!fits) throw invalidArgument('ERR_OPTION_VALUE', 'maxDetections', 'three integers from 1', value);
  const [first, second, third] = [...value].sort((a, b) => a - b);
  return [first!, second!, third!];
}

function chosen(
  all: ReadonlyMap<number, unknown>,
  ids: Iterable<number> | undefined,
  name: string,
): number[] {
  const list = [...new Set(ids ?? all.keys())].sort((a, b) => a - b);
  const unknown = list.find((id) => !all.has(id));
  if (unknown === undefined) return list;
  throw invalidArgument('ERR_COCO_REFERENCE', name, 'ids of the annotation file', unknown);
}

function groupBy<T>(items: readonly T[], key: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
