import { invalidArgument } from '../errors';

/** Any array of class indices. */
export type Labels = Uint8Array | Uint16Array | Int32Array;

/** Scores of a confusion matrix; a class that neither prediction nor truth has counts nowhere and has the IoU null. */
export interface SegmentationScores {
  /** Intersection over union by class name, 0 to 1. */
  iou: Record<string, number | null>;
  /** Mean of the IoUs of the classes that occur. */
  miou: number;
  /** Share of each class's own pixels that are right, by class name; null for a class that the truth does not have. */
  accuracy: Record<string, number | null>;
  /** Mean of the accuracies of the classes that the truth has. */
  meanAccuracy: number;
  /** Share of the judged pixels that are right. */
  pixelAccuracy: number;
}

/** Counts of pixels by true class (row) and predicted class (column). */
export class ConfusionMatrix {
  readonly counts: Float64Array;

  constructor(readonly classes: number) {
    if (!Number.isInteger(classes) || classes < 1) {
      throw invalidArgument('ERR_RANGE', 'classes', 'an integer from 1', classes);
    }
    this.counts = new Float64Array(classes * classes);
  }

  /**
   * Counts the pixels of one image, or of the part of it where `where` is not 0. True labels outside the classes
   * are not judged; predictions outside them throw ERR_LABEL_VALUE.
   */
  add(truth: Labels, predicted: Labels, where?: Uint8Array): void {
    if (truth.length !== predicted.length || (where !== undefined && where.length !== truth.length)) {
      throw invalidArgument('ERR_SHAPE', 'predicted', `${truth.length} labels`, predicted.length);
    }
    const { classes, counts } = this;
    for (let i = 0; i < truth.length; i++) {
      const row = truth[i]!;
      const column = predicted[i]!;
      if (row >= classes || row < 0 || where?.[i] === 0) continue;
      if (column >= classes || column < 0) {
        throw invalidArgument('ERR_LABEL_VALUE', 'predicted', `indices from 0 to ${classes - 1}`, column);
      }
      counts[row * classes + column]! += 1;
    }
  }

  /** Number of judged pixels. */
  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** Number of judged pixels that are right. */
  get correct(): number {
    let sum = 0;
    for (let i = 0; i < this.classes; i++) sum += this.counts[i * this.classes + i]!;
    return sum;
  }

  #accuracy(index: number): number | null {
    const { classes, counts } = this;
    const pixels = counts
      .subarray(index * classes, (index + 1) * classes)
      .reduce((sum, count) => sum + count, 0);
    return pixels === 0 ? null : counts[index * classes + index]! / pixels;
  }

  /** Intersection and union of one class, in pixels. */
  overlap(index: number): { intersection: number; union: number } {
    const { classes, counts } = this;
    let union = 0;
    for (let i = 0; i < classes; i++) union += counts[index * classes + i]! + counts[i * classes + index]!;
    const intersection = counts[index * classes + index]!;
    return { intersection, union: union - intersection };
  }

  /** The scores by class name. */
  scores(names: readonly string[]): SegmentationScores {
    const accuracies = names.map((_, index) => this.#accuracy(index));
    return {
      ...scoresOf(names, (index) => this.overlap(index)),
      accuracy: byName(names, accuracies),
      meanAccuracy: meanOf(accuracies),
      pixelAccuracy: this.total === 0 ? 0 : this.correct / this.total,
    };
  }
}

function byName<T>(names: readonly string[], values: readonly T[]): Record<string, T> {
  return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
}

/** The mean of what is not null; 0 where all is. */
function meanOf(values: readonly (number | null)[]): number {
  const present = values.filter((value) => value !== null);
  return present.length === 0 ? 0 : present.reduce((sum, value) => sum + value, 0) / present.length;
}

/** IoU of every class and their mean from intersections and unions. */
export function scoresOf(
  names: readonly string[],
  overlap: (index: number) => { intersection: number; union: number },
): Pick<SegmentationScores, 'iou' | 'miou'> {
  const values = names.map((_, index) => {
    const { intersection, union } = overlap(index);
    return union === 0 ? null : intersection / union;
  });
  return { iou: byName(names, values), miou: meanOf(values) };
}
