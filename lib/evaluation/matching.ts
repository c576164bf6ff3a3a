/** Least IoUs of a match: 0.5, 0.55, ... 0.95, as the same sums of floating-point numbers that pycocotools uses. */
export const IOU_THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, i) =>
  i === 9 ? 0.95 : 0.5 + i * ((0.95 - 0.5) / 9),
);

/** Ranges of object areas in pixels, bounds included. */
export const AREA_RANGES = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;

/** Names of {@link AREA_RANGES}, in order. */
export const AREA_NAMES = Object.keys(AREA_RANGES) as (keyof typeof AREA_RANGES)[];

const RANGES = Object.values(AREA_RANGES);

/** A true object, as far as matching needs it. */
export interface MatchTruth {
  readonly area: number;
  /** A crowd is matched any number of times, and counts neither for nor against. */
  readonly crowd: boolean;
}

/** How the detections of one image and class fare, one number of bits (a bit a threshold) for each and each area range. */
export interface Matches {
  /** [areas][detections]: thresholds at which it has found an object. */
  readonly matched: readonly Uint16Array[];
  /** [areas][detections]: thresholds at which it counts neither for nor against. */
  readonly ignored: readonly Uint16Array[];
  /** [areas]: objects that are to be found. */
  readonly wanted: readonly number[];
}

/**
 * Matches detections, best first, to true objects: each takes the object with the highest IoU that none before it
 * has taken, at every threshold and in every area range. `ious` is [detections, truths]; `areas` are the detections'.
 */
export function matchDetections(
  ious: Float64Array,
  areas: readonly number[],
  truths: readonly MatchTruth[],
): Matches {
  const matched: Uint16Array[] = [];
  const ignored: Uint16Array[] = [];
  const wanted: number[] = [];
  for (const [low, high] of RANGES) {
    const outside = (area: number) => area < low || area > high;
    const skipped = truths.map(({ crowd, area }) => crowd || outside(area));
    const inRange = new Uint16Array(areas.length);
    const neutral = new Uint16Array(areas.length);
    // Objects that count come first: one that does not is taken only where none of them fits.
    const order = [...truths.keys()].sort((a, b) => Number(skipped[a]) - Number(skipped[b]));
    for (let t = 0; t < IOU_THRESHOLDS.length; t++) {
      const taken = new Uint8Array(truths.length);
      const candidates = { threshold: IOU_THRESHOLDS[t]!, taken, skipped, truths };
      for (let d = 0; d < areas.length; d++) {
        const row = d * truths.length;
        const found = bestMatch(ious, row, order, candidates);
        if (found >= 0) {
          taken[found] = 1;
          inRange[d]! |= 1 << t;
          if (skipped[found]) neutral[d]! |= 1 << t;
        } else if (outside(areas[d]!)) neutral[d]! |= 1 << t;
      }
    }
    matched.push(inRange);
    ignored.push(neutral);
    wanted.push(skipped.filter((skip) => !skip).length);
  }
  return { matched, ignored, wanted };
}

interface Candidates {
  readonly threshold: number;
  readonly taken: Uint8Array;
  readonly skipped: readonly boolean[];
  readonly truths: readonly MatchTruth[];
}

function bestMatch(
  ious: Float64Array,
  row: number,
  order: readonly number[],
  { threshold, taken, skipped, truths }: Candidates,
): number {
  let best = threshold;
  let found = -1;
  for (const truth of order) {
    if (taken[truth] === 1 && !truths[truth]!.crowd) continue;
    if (found >= 0 && !skipped[found] && skipped[truth]) break;
    const iou = ious[row + truth]!;
    // Of equal ones the last is taken.
    if (iou < best) continue;
    best = iou;
    found = truth;
  }
  return found;
}
