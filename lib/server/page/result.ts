import { type Answer, type ClassInfo, type Detection, isDetection, type Rgb } from './answer.js';
import { LabelRuns } from './label-runs.js';
import { MaskRuns } from './mask-runs.js';

/** What lies under a pixel of the image. */
export interface Found {
  readonly name: string;
  readonly color: Rgb;
  /** 0 to 1, where it is known. */
  readonly score?: number;
  /** Part of the image that the class covers; only where no score is known. */
  readonly share?: number;
  /** Of the detection, in the answer's order. */
  readonly index?: number;
}

/** A class as the legend lists it. */
export interface LegendEntry extends ClassInfo {
  /** Part of the image, 0 to 1, or the number of objects. */
  readonly amount: number;
}

/** How sure a model is of its labels, on a grid over the image. */
export interface Scores {
  readonly width: number;
  readonly height: number;
  /** 255 times the score stands in red, green and blue. */
  readonly rgba: Uint8Array | Uint8ClampedArray;
}

/** A segmentation whose pixels can be asked. */
export interface Segmentation {
  readonly kind: 'segment';
  readonly labels: LabelRuns;
  /** Undefined where the server sent none. */
  readonly scores: Scores | undefined;
}

/** A detected object with its mask ready to be asked. */
export interface DetectedObject extends Omit<Detection, 'mask'> {
  readonly index: number;
  readonly color: Rgb;
  readonly mask: MaskRuns | undefined;
}

/** Detections whose pixels can be asked, the best first. */
export interface Detections {
  readonly kind: 'detect';
  readonly objects: readonly DetectedObject[];
}

/** What is shown of a result. */
export interface Shown {
  readonly hidden: ReadonlySet<number>;
  /** Least score of an object. */
  readonly threshold: number;
}

/** An answer, prepared for painting and asking. */
export interface Result {
  readonly answer: Answer;
  readonly width: number;
  readonly height: number;
  readonly content: Segmentation | Detections;
}

const GREY: Rgb = [128, 128, 128];

/** Prepares an answer. Throws Error where it is malformed. */
export function makeResult(answer: Answer, scores?: Scores): Result {
  const { width, height } = answer;
  if (!isDetection(answer)) {
    const labels = new LabelRuns(width, height, answer.runs);
    return { answer, width, height, content: { kind: 'segment', labels, scores } };
  }
  const colors = new Map(answer.classes.map(({ index, color }) => [index, color]));
  const objects = answer.detections
    .map(({ mask, ...rest }, index) => ({
      ...rest,
      index,
      color: colors.get(rest.label) ?? GREY,
      mask: mask === undefined ? undefined : new MaskRuns(mask),
    }))
    .sort((a, b) => b.score - a.score);
  return { answer, width, height, content: { kind: 'detect', objects } };
}

/** The objects that are shown, the best first. */
export function shownObjects(
  { objects }: Detections,
  { hidden, threshold }: Shown,
): readonly DetectedObject[] {
  return objects.filter(({ label, score }) => score >= threshold && !hidden.has(label));
}

/** The legend: classes that the image has, the largest first; of a detector, with those that the threshold lets through. */
export function legendOf({ answer, content }: Result, threshold: number): readonly LegendEntry[] {
  if (!isDetection(answer)) {
    return answer.classes
      .filter(({ pixels }) => pixels > 0)
      .map(({ index, name, color, share }) => ({ index, name, color, amount: share }))
      .sort((a, b) => b.amount - a.amount);
  }
  const counts = new Map<number, number>();
  for (const { label, score } of (content as Detections).objects) {
    counts.set(label, (counts.get(label) ?? 0) + (score >= threshold ? 1 : 0));
  }
  return answer.classes
    .filter(({ index }) => counts.has(index))
    .map((each) => ({ ...each, amount: counts.get(each.index)! }))
    .sort((a, b) => b.amount - a.amount || a.index - b.index);
}

/** What lies under a pixel: the class, or the best object whose mask (or, failing that, smallest box) holds it. */
export function foundAt(result: Result, x: number, y: number, shown: Shown): Found | undefined {
  const { answer, content } = result;
  if (content.kind === 'segment') {
    const label = content.labels.at(x, y);
    if (label === undefined || isDetection(answer)) return undefined;
    const area = answer.classes.find(({ index }) => index === label);
    const score = scoreAt(content.scores, x / result.width, y / result.height);
    return {
      name: area?.name ?? `class ${label}`,
      color: area?.color ?? GREY,
      ...(score !== undefined ? { score } : { share: area?.share ?? 0 }),
    };
  }
  const inside = shownObjects(content, shown).filter(({ box: [left, top, right, bottom] }) => {
    return x + 0.5 >= left && x + 0.5 <= right && y + 0.5 >= top && y + 0.5 <= bottom;
  });
  const size = ({ box: [left, top, right, bottom] }: DetectedObject) => (right - left) * (bottom - top);
  const found =
    inside.find(({ mask }) => mask?.has(x, y)) ??
    [...inside].filter(({ mask }) => mask === undefined).sort((a, b) => size(a) - size(b))[0];
  if (found === undefined) return undefined;
  const { className, color, score, index } = found;
  return { name: className, color, score, index };
}

function scoreAt(scores: Scores | undefined, x: number, y: number): number | undefined {
  if (scores === undefined) return undefined;
  const { width, height, rgba } = scores;
  return rgba[4 * (Math.floor(y * height) * width + Math.floor(x * width))]! / 255;
}
