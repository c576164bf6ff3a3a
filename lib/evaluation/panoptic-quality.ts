import type { PanopticCategory, PanopticSegment } from '../coco/panoptic';
import { type SegmentIds, VOID } from '../coco/panoptic-png';
import { CocoError, invalidArgument } from '../errors';

/** An image's segments with their pixels. */
export interface PanopticImage extends SegmentIds {
  readonly segments: readonly PanopticSegment[];
}

/** Panoptic quality = segmentation quality x recognition quality, each 0 to 1; null where no class has segments. */
export interface PanopticScores {
  pq: number | null;
  /** Mean IoU of the segments that were found. */
  sq: number | null;
  /** F1 of finding segments. */
  rq: number | null;
  /** Classes that are averaged over: those with true or predicted segments. */
  classes: number;
}

/** The scores of a class, and what they are made of. */
export interface ClassPanopticScores {
  id: number;
  name: string;
  isThing: boolean;
  pq: number | null;
  sq: number | null;
  rq: number | null;
  found: number;
  missed: number;
  wrong: number;
}

/** Result of {@link PanopticQuality.report}. */
export interface PanopticReport {
  all: PanopticScores;
  things: PanopticScores;
  stuff: PanopticScores;
  images: number;
  perClass: ClassPanopticScores[];
}

interface Tally {
  iou: number;
  found: number;
  missed: number;
  wrong: number;
}

/** Panoptic quality (Kirillov et al., CVPR 2019) by the rules of COCO's own evaluation, image by image. */
export class PanopticQuality {
  readonly #categories: readonly PanopticCategory[];
  readonly #tallies = new Map<number, Tally>();
  #images = 0;

  constructor(categories: Iterable<PanopticCategory>) {
    this.#categories = [...categories];
    for (const { id } of this.#categories) this.#tallies.set(id, { iou: 0, found: 0, missed: 0, wrong: 0 });
  }

  /**
   * Judges an image. A predicted segment is right where it has the class of a true one and an IoU over 0.5 with it,
   * void pixels left out. Crowds need not be found; a wrong segment does not count where more than half of it lies on
   * void or on a crowd of its class. True areas are taken as the segments state them.
   * @param name the image, for errors: ERR_IMAGE_SIZE where the sizes differ, ERR_PANOPTIC_SEGMENT where the
   * predicted pixels and segments, or their categories, do not fit.
   */
  add(truth: PanopticImage, prediction: PanopticImage, name = 'the image'): void {
    if (truth.width !== prediction.width || truth.height !== prediction.height) {
      const [expected, actual] = [truth, prediction].map(({ width, height }) => `${width} x ${height}`);
      const message = `expected ${expected} pixels for the prediction of ${name}, got ${actual}`;
      throw new CocoError('ERR_IMAGE_SIZE', message, { expected, actual });
    }
    const overlaps = new Overlaps(truth, prediction, name);
    const found = new Set<number>();
    const right = new Set<number>();
    for (const [g, segment] of truth.segments.entries()) {
      if (segment.crowd) continue;
      for (const [p, { categoryId }] of prediction.segments.entries()) {
        if (categoryId !== segment.categoryId) continue;
        const shared = overlaps.shared(g, p);
        if (shared === 0) continue;
        const union = overlaps.area(p) + overlaps.trueArea(g) - shared - overlaps.onVoid(p);
        const iou = shared / union;
        if (iou <= 0.5) continue;
        const tally = this.#tally(segment, name);
        tally.found += 1;
        tally.iou += iou;
        found.add(g);
        right.add(p);
      }
    }
    // The last crowd of a class stands for all of them.
    const crowds = new Map<number, number>();
    for (const [g, segment] of truth.segments.entries()) {
      if (segment.crowd) crowds.set(segment.categoryId, g);
      else if (!found.has(g)) this.#tally(segment, name).missed += 1;
    }
    for (const [p, segment] of prediction.segments.entries()) {
      if (right.has(p)) continue;
      const crowd = crowds.get(segment.categoryId);
      const excused = overlaps.onVoid(p) + (crowd === undefined ? 0 : overlaps.shared(crowd, p));
      if (excused / overlaps.area(p) <= 0.5) this.#tally(segment, name).wrong += 1;
    }
    this.#images += 1;
  }

  #tally({ id, categoryId }: PanopticSegment, name: string): Tally {
    const tally = this.#tallies.get(categoryId);
    if (tally !== undefined) return tally;
    throw segmentError(`a known category for segment ${id} of ${name}`, `${categoryId}`);
  }

  /** The scores over all images. */
  report(): PanopticReport {
    const perClass = this.#categories.map(({ id, name, isThing }): ClassPanopticScores => {
      const { iou, found, missed, wrong } = this.#tallies.get(id)!;
      const weight = found + missed / 2 + wrong / 2;
      const scores =
        weight === 0
          ? { pq: null, sq: null, rq: null }
          : { pq: iou / weight, sq: found === 0 ? 0 : iou / found, rq: found / weight };
      return { id, name, isThing, ...scores, found, missed, wrong };
    });
    return {
      all: meanOf(perClass),
      things: meanOf(perClass.filter(({ isThing }) => isThing)),
      stuff: meanOf(perClass.filter(({ isThing }) => !isThing)),
      images: this.#images,
      perClass,
    };
  }
}

function meanOf(classes: readonly ClassPanopticScores[]): PanopticScores {
  const present = classes.filter(({ pq }) => pq !== null);
  const mean = (key: 'pq' | 'sq' | 'rq') =>
    present.length === 0 ? null : present.reduce((sum, scores) => sum + scores[key]!, 0) / present.length;
  return { pq: mean('pq'), sq: mean('sq'), rq: mean('rq'), classes: present.length };
}

/** Numbers of pixels that true and predicted segments share. */
class Overlaps {
  /** [1 + true segments + 1, predicted segments + 1]: void first, pixels of ids that are not described last. */
  readonly #counts: Float64Array;
  readonly #columns: number;
  readonly #areas: Float64Array;
  readonly #truth: PanopticImage;

  constructor(truth: PanopticImage, prediction: PanopticImage, name: string) {
    this.#truth = truth;
    const other = truth.segments.length + 1;
    const columns = prediction.segments.length + 1;
    this.#columns = columns;
    const counts = new Float64Array((other + 1) * columns);
    const rowOf = placesOf(truth, name);
    const columnOf = placesOf(prediction, name);
    let [lastTrue, lastPredicted, row, column] = [VOID, VOID, 0, 0];
    for (let i = 0; i < truth.ids.length; i++) {
      const trueId = truth.ids[i]!;
      const predictedId = prediction.ids[i]!;
      // Neighbours mostly belong to one segment.
      if (trueId !== lastTrue) {
        lastTrue = trueId;
        row = rowOf.get(trueId) ?? other;
      }
      if (predictedId !== lastPredicted) {
        lastPredicted = predictedId;
        const place = columnOf.get(predictedId);
        if (place === undefined) {
          throw segmentError(`a segment of segments_info for the pixels of ${name}`, `id ${predictedId}`);
        }
        column = place;
      }
      counts[row * columns + column]! += 1;
    }
    this.#counts = counts;
    this.#areas = new Float64Array(columns);
    for (let at = 0; at < counts.length; at++) this.#areas[at % columns]! += counts[at]!;
    const missing = prediction.segments.find((_, p) => this.area(p) === 0);
    if (missing !== undefined) {
      throw segmentError(`pixels of segment ${missing.id} in the PNG of ${name}`, 'none');
    }
  }

  /** Pixels that a true and a predicted segment share. */
  shared(truth: number, predicted: number): number {
    return this.#counts[(truth + 1) * this.#columns + predicted + 1]!;
  }

  /** Pixels of a predicted segment where no true segment is. */
  onVoid(predicted: number): number {
    return this.#counts[predicted + 1]!;
  }

  area(predicted: number): number {
    return this.#areas[predicted + 1]!;
  }

  trueArea(truth: number): number {
    const { area } = this.#truth.segments[truth]!;
    if (area !== undefined) return area;
    const from = (truth + 1) * this.#columns;
    return this.#counts.subarray(from, from + this.#columns).reduce((sum, count) => sum + count, 0);
  }
}

function placesOf({ segments, ids, width, height }: PanopticImage, name: string): Map<number, number> {
  if (ids.length !== width * height) {
    throw invalidArgument('ERR_SHAPE', 'ids', `${width} x ${height} values for ${name}`, ids.length);
  }
  return new Map([[VOID, 0], ...segments.map(({ id }, place): [number, number] => [id, place + 1])]);
}

function segmentError(expected: string, actual: string): CocoError {
  return new CocoError('ERR_PANOPTIC_SEGMENT', `expected ${expected}, got ${actual}`, { expected, actual });
}
