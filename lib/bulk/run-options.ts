import { createHash } from 'node:crypto';
import { checkBoolean, checkChoice, checkInteger, checkNumber, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { InferenceOptions } from '../modules/segnext';

/** The model of a run, as `loadModel` and `loadDetector` take it. Files are absolute paths. */
export interface RunModel {
  /** Default: the bundled model of the task. */
  checkpoint?: string;
  architecture?: string;
  border?: 'zeros' | 'reflect';
  ema?: boolean;
  /** Default float32. It belongs to the run, not to the worker: outputs do not depend on who computes them. */
  dtype?: DType;
  /** Of segmentation alone. */
  nmfSeed?: number;
}

/** What a run does with every image, and writes of it. */
export type RunOptions = SegmentRun | DetectRun;

interface AnyRun {
  model?: RunModel;
  /** How strongly an overlay covers the image, 0 to 1. */
  opacity?: number;
  /** Refuse larger images. */
  maxPixels?: number;
}

/** A run of `segment`. */
export interface SegmentRun extends AnyRun {
  task: 'segment';
  format: 'overlay' | 'labels' | 'logits';
  /** Default: the model's own. */
  inference?: InferenceOptions;
}

/** A run of `detect`. */
export interface DetectRun extends AnyRun {
  task: 'detect';
  format: 'overlay' | 'json' | 'masks';
  /** Least score. Default 0.3 or the model's own, if greater. */
  score?: number;
  /** Most detections of an image. */
  max?: number;
  /** Overlap from which the better of two boxes stays. */
  iou?: number;
}

/** Tasks, and what each can write of every image by itself. */
export const RUN_FORMATS = {
  segment: ['overlay', 'labels', 'logits'],
  detect: ['overlay', 'json', 'masks'],
} as const;

/**
 * Checks a run's options and puts them into one order, so that equal options have equal text. Throws
 * ERR_OPTION_VALUE, ERR_OPTION_UNKNOWN, ERR_TYPE or ERR_RANGE.
 */
export function checkRunOptions(given: unknown): RunOptions {
  const options = checkObject(given, 'options');
  const task = checkChoice(options.task, 'task', ['segment', 'detect']);
  const format = checkChoice(options.format, 'format', RUN_FORMATS[task]);
  const checked: Record<string, unknown> = { task, format };
  const rest = new Set(Object.keys(options).filter((key) => options[key] !== undefined));
  const take = (key: string, check: (value: unknown) => unknown) => {
    if (rest.has(key)) checked[key] = check(options[key]);
    rest.delete(key);
  };
  take('task', () => task);
  take('format', () => format);
  take('model', (value) => checkModel(value, task));
  take('opacity', (value) => checkNumber(value, 'opacity', { min: 0, max: 1 }));
  take('maxPixels', (value) => checkInteger(value, 'maxPixels', 1));
  if (task === 'segment') take('inference', checkInferenceShape);
  else {
    take('score', (value) => checkNumber(value, 'score', { min: 0, max: 1 }));
    take('max', (value) => checkInteger(value, 'max', 1));
    take('iou', (value) => checkNumber(value, 'iou', { min: 0, max: 1 }));
  }
  refuseOthers(rest, `a run of ${task}`);
  return checked as unknown as RunOptions;
}

function checkModel(given: unknown, task: RunOptions['task']): RunModel {
  const model = checkObject(given, 'model');
  const checked: Record<string, unknown> = {};
  const rest = new Set(Object.keys(model).filter((key) => model[key] !== undefined));
  const checks: Record<string, (value: unknown) => unknown> = {
    checkpoint: (value) => checkText(value, 'model.checkpoint'),
    architecture: (value) => checkText(value, 'model.architecture'),
    border: (value) => checkChoice(value, 'model.border', ['zeros', 'reflect']),
    ema: (value) => checkBoolean(value, 'model.ema'),
    dtype: (value) => checkChoice(value, 'model.dtype', FLOATING),
    ...(task === 'segment' && { nmfSeed: (value: unknown) => checkInteger(value, 'model.nmfSeed', 0) }),
  };
  for (const [key, check] of Object.entries(checks)) {
    if (rest.delete(key)) checked[key] = check(model[key]);
  }
  refuseOthers(rest, `the model of a run of ${task}`);
  return checked;
}

/** The network checks it whole; here it is put into one order. */
function checkInferenceShape(given: unknown): unknown {
  const inference = checkObject(given, 'inference');
  return Object.fromEntries(Object.entries(inference).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function checkObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalidArgument('ERR_TYPE', name, 'an object', value);
}

function checkText(value: unknown, name: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalidArgument('ERR_TYPE', name, 'a text', value);
}

function refuseOthers(rest: ReadonlySet<string>, where: string): void {
  for (const key of rest) throw invalidArgument('ERR_OPTION_UNKNOWN', where, 'no such option', key);
}

/** Checks the name of a run or a queue: letters, digits, dot, dash and underscore. Throws ERR_OPTION_VALUE. */
export function checkName(value: unknown, what: string): string {
  if (typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(value)) return value;
  throw invalidArgument(
    'ERR_OPTION_VALUE',
    what,
    'up to 100 letters, digits, dots, dashes, underscores',
    value,
  );
}

/** 22 letters that stand for a list of texts: 128 bits of its SHA-256. */
export function digest(...texts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('base64url').slice(0, 22);
}
