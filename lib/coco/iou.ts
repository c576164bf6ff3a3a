import { type CocoBox, checkSameSize, type Rle, rleArea, rleBox } from './run-lengths';

/** Number of pixels that two masks of one size share. */
export function rleIntersection({ counts: a }: Rle, { counts: b }: Rle): number {
  let [i, j] = [1, 1];
  let [startA, startB] = [a[0] ?? 0, b[0] ?? 0];
  let shared = 0;
  while (i < a.length && j < b.length) {
    const endA = startA + a[i]!;
    const endB = startB + b[j]!;
    const overlap = Math.min(endA, endB) - Math.max(startA, startB);
    if (overlap > 0) shared += overlap;
    if (endA <= endB) {
      startA = endA + (a[i + 1] ?? 0);
      i += 2;
    }
    if (endB <= endA) {
      startB = endB + (b[j + 1] ?? 0);
      j += 2;
    }
  }
  return shared;
}

/**
 * Intersection over union of every detection with every true mask, [detections, truths] row-major. Against a crowd
 * region it is the share of the detection's own area that lies in the region. Throws ERR_SHAPE for masks of several
 * sizes.
 */
export function rleIou(
  detections: readonly Rle[],
  truths: readonly Rle[],
  crowd: readonly boolean[] = [],
): Float64Array {
  const result = new Float64Array(detections.length * truths.length);
  const summary = (rle: Rle) => ({ rle, box: rleBox(rle), area: rleArea(rle) });
  const columns = truths.map(summary);
  for (const [d, one] of detections.map(summary).entries()) {
    for (const [g, other] of columns.entries()) {
      checkSameSize(one.rle, other.rle);
      if (!boxesMeet(one.box, other.box)) continue;
      const shared = rleIntersection(one.rle, other.rle);
      if (shared === 0) continue;
      const whole = crowd[g] === true ? one.area : one.area + other.area - shared;
      result[d * truths.length + g] = shared / whole;
    }
  }
  return result;
}

function boxesMeet([ax, ay, aw, ah]: CocoBox, [bx, by, bw, bh]: CocoBox): boolean {
  return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;
}

/** {@link rleIou} for boxes. */
export function boxIou(
  detections: readonly CocoBox[],
  truths: readonly CocoBox[],
  crowd: readonly boolean[] = [],
): Float64Array {
  const result = new Float64Array(detections.length * truths.length);
  for (const [d, [ax, ay, aw, ah]] of detections.entries()) {
    for (const [g, [bx, by, bw, bh]] of truths.entries()) {
      const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
      const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
      if (width <= 0 || height <= 0) continue;
      const shared = width * height;
      result[d * truths.length + g] = shared / (crowd[g] === true ? aw * ah : aw * ah + bw * bh - shared);
    }
  }
  return result;
}
