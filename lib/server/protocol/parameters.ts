import { checkInteger, checkNumber } from '../../check';
import { type FreqFusionError, invalidArgument } from '../../errors';
import { nearestName } from '../../modules/nearest-name';
import type { Priority } from '../batch-queue';
import type { DetectRequestOptions } from '../tasks';

/** What a request says of its own waiting. */
export interface Schedule {
  readonly priority?: Priority;
  /** Milliseconds. */
  readonly timeout?: number;
}

const SCHEDULE = ['priority', 'timeout'] as const;

/** Detection parameters, with the options that they set. */
const THRESHOLDS = {
  score_threshold: 'scoreThreshold',
  max_detections: 'maxDetections',
  iou_threshold: 'iouThreshold',
  mask_threshold: 'maskThreshold',
} as const;

/** Most detections of an image that can be asked for. */
const MAX_DETECTIONS = 10_000;

/** Parameters of the protocol itself, which are no misspelling of another. */
const OTHERS = [
  'binary_data_output',
  'content_type',
  'headers',
  'sequence_id',
  'sequence_start',
  'sequence_end',
];

/**
 * The priority and the time limit of a request. `priority` is Triton's number (1 is the highest, 2 is normal, what is
 * above is low, 0 is the default) or high, normal or low; `timeout` is in microseconds, 0 for none of its own.
 * Throws ERR_REQUEST_PARAMETER.
 */
export function scheduleOf(parameters: InferParameters): Schedule {
  const priority = priorityOf(parameters.get('priority'));
  const timeout = number(parameters, 'timeout', (value, name) => checkInteger(value, name, 0));
  return {
    ...(priority !== undefined && { priority }),
    ...(timeout !== undefined && timeout > 0 && { timeout: timeout / 1000 }),
  };
}

/** Parameters by name. */
export type InferParameters = ReadonlyMap<string, unknown>;

const BY_NUMBER: readonly (Priority | undefined)[] = [undefined, 'high', 'normal'];

function priorityOf(value: unknown): Priority | undefined {
  if (value === undefined) return undefined;
  if (value === 'high' || value === 'normal' || value === 'low') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
    return value < BY_NUMBER.length ? BY_NUMBER[value] : 'low';
  }
  const expected = 'an integer from 0, or high, normal or low';
  throw invalidArgument('ERR_REQUEST_PARAMETER', 'parameters.priority', expected, value);
}

/** The thresholds of a request to a detector, always in the same order. Throws ERR_REQUEST_PARAMETER. */
export function thresholdsOf(parameters: InferParameters): DetectRequestOptions {
  const options: Record<string, number> = {};
  for (const [name, option] of Object.entries(THRESHOLDS)) {
    const value = number(parameters, name, (given, label) =>
      name === 'max_detections'
        ? checkInteger(given, label, 1, MAX_DETECTIONS)
        : checkNumber(given, label, { min: 0, max: 1 }),
    );
    if (value !== undefined) options[option] = value;
  }
  return options;
}

/** Throws ERR_REQUEST_PARAMETER for a name that is nearly that of a parameter; names of other servers are let be. */
export function checkParameterNames(parameters: InferParameters, task: 'segment' | 'detect'): void {
  const known: string[] = [...SCHEDULE, ...(task === 'detect' ? Object.keys(THRESHOLDS) : [])];
  for (const name of parameters.keys()) {
    if (known.includes(name) || OTHERS.includes(name)) continue;
    const near = nearestName(name.slice(0, 64), known);
    if (near !== undefined) throw invalidArgument('ERR_REQUEST_PARAMETER', 'parameters', near, name);
  }
}

function number(
  parameters: InferParameters,
  name: string,
  check: (value: unknown, name: string) => number,
): number | undefined {
  const given = parameters.get(name);
  if (given === undefined) return undefined;
  // KServe's gRPC clients have no parameters with a fraction: theirs come as text.
  const value = typeof given === 'string' && /^\d{1,15}(\.\d{1,15})?$/.test(given) ? Number(given) : given;
  try {
    return check(value, `parameters.${name}`);
  } catch (error) {
    const { expected } = error as FreqFusionError;
    throw invalidArgument('ERR_REQUEST_PARAMETER', `parameters.${name}`, expected ?? 'a number', given);
  }
}
