import { AREA_NAMES, IOU_THRESHOLDS, type Matches } from './matching';

/** Recalls at which precision is read off: 0, 0.01, ... 1. */
export const RECALL_LEVELS: readonly number[] = Array.from({ length: 101 }, (_, i) =>
  i === 100 ? 1 : i * 0.01,
);

/**
 * Precision and recall of every setting; -1 where a class has no object to find.
 * `precision` is [thresholds, recall levels, classes, areas, maxima], `recall` the same without the levels.
 */
export interface PrecisionRecall {
  readonly precision: Float64Array;
  readonly recall: Float64Array;
  /** Sizes of the dimensions of `precision`. */
  readonly shape: readonly [
    thresholds: number,
    levels: number,
    classes: number,
    areas: number,
    maxima: number,
  ];
}

/** The matches of one class over all images. */
export class ClassMatches {
  /** Of each detection: its score, its image's place in the data set, its rank among that image's. */
  readonly #scores: number[] = [];
  readonly #images: number[] = [];
  readonly #ranks: number[] = [];
  readonly #matched: readonly number[][] = AREA_NAMES.map(() => []);
  readonly #ignored: readonly number[][] = AREA_NAMES.map(() => []);
  /** [areas]: objects that are to be found. */
  readonly wanted: number[] = AREA_NAMES.map(() => 0);

  /** Adds one image; `scores` are sorted, best first. */
  add(image: number, scores: readonly number[], { matched, ignored, wanted }: Matches): void {
    for (const [rank, score] of scores.entries()) {
      this.#scores.push(score);
      this.#images.push(image);
      this.#ranks.push(rank);
    }
    for (let area = 0; area < AREA_NAMES.length; area++) {
      for (const bits of matched[area]!) this.#matched[area]!.push(bits);
      for (const bits of ignored[area]!) this.#ignored[area]!.push(bits);
      this.wanted[area]! += wanted[area]!;
    }
  }

  /** Detections of all images, best first; equal scores in the order of the images, and within one as it was given. */
  sorted(): Uint32Array {
    const [scores, images, ranks] = [this.#scores, this.#images, this.#ranks];
    return Uint32Array.from(scores.keys()).sort(
      (a, b) => scores[b]! - scores[a]! || images[a]! - images[b]! || ranks[a]! - ranks[b]!,
    );
  }

  /**
   * Goes through the detections that count at a threshold, best first: those among the first `most` of their image.
   * Fills `precision` and the counts of objects found so far; gives the number of detections.
   */
  curve(
    order: Uint32Array,
    { threshold, area, most }: { threshold: number; area: number; most: number },
    precision: Float64Array,
    found: Uint32Array,
  ): number {
    const [matched, ignored, ranks] = [this.#matched[area]!, this.#ignored[area]!, this.#ranks];
    const bit = 1 << threshold;
    let right = 0;
    let count = 0;
    for (const detection of order) {
      if (ranks[detection]! >= most || (ignored[detection]! & bit) !== 0) continue;
      if ((matched[detection]! & bit) !== 0) right += 1;
      count += 1;
      precision[count - 1] = right / (count + Number.EPSILON);
      found[count - 1] = right;
    }
    // Precision at a recall is the best that is reached at that recall or a higher one.
    for (let i = count - 1; i > 0; i--) {
      if (precision[i]! > precision[i - 1]!) precision[i - 1] = precision[i]!;
    }
    return count;
  }

  get length(): number {
    return this.#scores.length;
  }
}

/**
 * Computes precision and recall for classes and for numbers of detections that count in an image.
 * @param wantedOf [classes][areas]: objects that are to be found. Default: those of the images that were added.
 */
export function precisionRecall(
  classes: readonly ClassMatches[],
  maxDetections: readonly number[],
  wantedOf: readonly (readonly number[])[] = classes.map(({ wanted }) => wanted),
): PrecisionRecall {
  const [T, R, K] = [IOU_THRESHOLDS.length, RECALL_LEVELS.length, classes.length];
  const [A, M] = [AREA_NAMES.length, maxDetections.length];
  const precision = new Float64Array(T * R * K * A * M).fill(-1);
  const recall = new Float64Array(T * K * A * M).fill(-1);
  const longest = Math.max(0, ...classes.map(({ length }) => length));
  const curve = new Float64Array(longest);
  const found = new Uint32Array(longest);
  classes.forEach((matches, k) => {
    const order = matches.sorted();
    for (let a = 0; a < A; a++) {
      const wanted = wantedOf[k]![a]!;
      if (wanted === 0) continue;
      for (const [m, most] of maxDetections.entries()) {
        for (let t = 0; t < T; t++) {
          const count = matches.curve(order, { threshold: t, area: a, most }, curve, found);
          const at = (k * A + a) * M + m;
          recall[t * K * A * M + at] = count === 0 ? 0 : found[count - 1]! / wanted;
          let i = 0;
          for (let r = 0; r < R; r++) {
            while (i < count && found[i]! / wanted < RECALL_LEVELS[r]!) i += 1;
            precision[(t * R + r) * K * A * M + at] = i < count ? curve[i]! : 0;
          }
        }
      }
    }
  });
  return { precision, recall, shape: [T, R, K, A, M] };
}
