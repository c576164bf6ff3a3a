import { type Labels, type SegmentationScores, scoresOf } from './confusion';

/**
 * The pixels within `distance` (chessboard) of a boundary between two classes: 1 there, 0 elsewhere. A pixel with
 * another class above, below, left or right of it has the distance 1.
 */
export function trimap(labels: Labels, width: number, height: number, distance: number): Uint8Array {
  const band = new Uint8Array(labels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x + 1 < width && labels[at] !== labels[at + 1]) band[at] = band[at + 1] = 1;
      if (y + 1 < height && labels[at] !== labels[at + width]) band[at] = band[at + width] = 1;
    }
  }
  return spread(spread(band, width, height, distance - 1, 1), width, height, distance - 1, width);
}

/** Sets every pixel that lies within `reach` of a set one along a row (step 1) or a column (step width). */
function spread(band: Uint8Array, width: number, height: number, reach: number, step: number): Uint8Array {
  if (reach < 1) return band;
  const out = new Uint8Array(band.length);
  const [lines, length, stride] = step === 1 ? [height, width, width] : [width, height, 1];
  for (let line = 0; line < lines; line++) {
    const start = line * stride;
    let last = -Infinity;
    for (let i = 0; i < length; i++) {
      if (band[start + i * step] === 1) last = i;
      if (i - last <= reach) out[start + i * step] = 1;
    }
    last = Infinity;
    for (let i = length - 1; i >= 0; i--) {
      if (band[start + i * step] === 1) last = i;
      if (last - i <= reach) out[start + i * step] = 1;
    }
  }
  return out;
}

/**
 * The pixels that `distance` erosions with the four-neighbour cross take away from their class: those within that
 * city-block distance of another class. The edge of the image takes nothing away.
 */
export function innerBoundary(labels: Labels, width: number, height: number, distance: number): Uint8Array {
  let band = new Uint8Array(labels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x + 1 < width && labels[at] !== labels[at + 1]) band[at] = band[at + 1] = 1;
      if (y + 1 < height && labels[at] !== labels[at + width]) band[at] = band[at + width] = 1;
    }
  }
  // A step further in never crosses into another class: at the crossing the pixel is already in the band.
  for (let step = 1; step < distance; step++) {
    const wider = Uint8Array.from(band);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = y * width + x;
        if (band[at] === 0) continue;
        if (x > 0) wider[at - 1] = 1;
        if (x + 1 < width) wider[at + 1] = 1;
        if (y > 0) wider[at - width] = 1;
        if (y + 1 < height) wider[at + width] = 1;
      }
    }
    band = wider;
  }
  return band;
}

/** Boundary IoU (Cheng et al., CVPR 2021), summed over images: the IoU of the inner boundaries of each class. */
export class BoundaryOverlap {
  readonly #intersections: Float64Array;
  readonly #truths: Float64Array;
  readonly #predictions: Float64Array;

  constructor(
    readonly classes: number,
    readonly distance: number,
  ) {
    this.#intersections = new Float64Array(classes);
    this.#truths = new Float64Array(classes);
    this.#predictions = new Float64Array(classes);
  }

  /** Counts one image. Pixels whose true label is outside the classes are not judged. */
  add(truth: Labels, predicted: Labels, width: number, height: number): void {
    const ofTruth = innerBoundary(truth, width, height, this.distance);
    const ofPrediction = innerBoundary(predicted, width, height, this.distance);
    for (let i = 0; i < truth.length; i++) {
      const label = truth[i]!;
      if (label >= this.classes || label < 0) continue;
      const inTruth = ofTruth[i] === 1;
      const inPrediction = ofPrediction[i] === 1;
      if (inTruth) this.#truths[label]! += 1;
      if (inPrediction) this.#predictions[predicted[i]!]! += 1;
      if (inTruth && inPrediction && label === predicted[i]) this.#intersections[label]! += 1;
    }
  }

  scores(names: readonly string[]): Pick<SegmentationScores, 'iou' | 'miou'> {
    return scoresOf(names, (index) => {
      const intersection = this.#intersections[index]!;
      return { intersection, union: this.#truths[index]! + this.#predictions[index]! - intersection };
    });
  }
}
