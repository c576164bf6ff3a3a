/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

/** A class that a model knows. */
export interface ClassInfo {
  readonly index: number;
  readonly name: string;
  readonly color: Rgb;
}

/** A model of the server, as GET /v2/models lists it. */
export interface ModelInfo {
  readonly name: string;
  readonly version?: string;
  readonly task: 'segment' | 'detect';
  readonly state: string;
  readonly ready: boolean;
  readonly classes: readonly ClassInfo[];
}

/** A picture that the server brings along, as GET /samples lists it. */
export interface Sample {
  readonly name: string;
  readonly url: string;
  readonly title: string;
  readonly width: number;
  readonly height: number;
  readonly task: ModelInfo['task'];
}

/** What the server lets through, as GET /page/settings.json says. */
export interface Settings {
  /** Bytes of a request's body. */
  readonly bodyLimit: number;
  /** Width x height of an image. */
  readonly maxPixels: number;
}

/** Milliseconds that the parts of an answer took on the server. */
export interface Timing {
  readonly queue: number;
  readonly decode: number;
  readonly inference: number;
  readonly total: number;
}

/** A class in a segmentation, with the part of the image that it covers. */
export interface ClassArea extends ClassInfo {
  readonly pixels: number;
  /** Part of the image, 0 to 1. */
  readonly share: number;
}

interface AnswerBase {
  readonly model: string;
  readonly version: string;
  readonly width: number;
  readonly height: number;
  readonly timing: Timing;
}

/** A grey PNG in base64 on a grid over the image: 255 times the score of the label there. */
export interface EncodedScores {
  readonly width: number;
  readonly height: number;
  readonly png: string;
}

/** POST /segment. */
export interface SegmentAnswer extends AnswerBase {
  readonly classes: readonly ClassArea[];
  /** [label, length, label, length, ...], row by row. */
  readonly runs: readonly number[];
  /** How sure the model is of its labels; only where it was asked for. */
  readonly scores?: EncodedScores;
}

/** A mask as COCO writes it: run lengths, column by column, compressed into a string. */
export interface CocoMask {
  readonly size: readonly [height: number, width: number];
  readonly counts: string;
}

/** One object that a detector found. */
export interface Detection {
  /** [left, top, right, bottom], pixels of the image. */
  readonly box: readonly [number, number, number, number];
  readonly score: number;
  readonly label: number;
  readonly className: string;
  readonly mask?: CocoMask;
}

/** POST /detect. */
export interface DetectAnswer extends AnswerBase {
  readonly classes: readonly ClassInfo[];
  readonly detections: readonly Detection[];
}

/** An answer of either kind. */
export type Answer = SegmentAnswer | DetectAnswer;

/** Whether an answer is that of a detector. */
export function isDetection(answer: Answer): answer is DetectAnswer {
  return 'detections' in answer;
}
