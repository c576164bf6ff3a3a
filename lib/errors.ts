/** Codes of every error that freqfusion throws. Each stands in docs/errors.md with its cause and its way out. */
export type ErrorCode = `ERR_${string}`;

/** What an error can say beside its message. */
export interface ErrorDetails {
  expected?: string | undefined;
  actual?: string | undefined;
  cause?: unknown;
}

/**
 * Every error thrown by freqfusion: `code` is stable, `expected` and `actual` are set wherever a value was
 * refused. Subclasses add nothing but a name to test with `instanceof`.
 */
export class FreqFusionError extends Error {
  readonly code: ErrorCode;
  readonly expected: string | undefined;
  readonly actual: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.expected = details.expected;
    this.actual = details.actual;
  }
}

/** An argument of the wrong type, shape, dtype, device or range. */
export class ArgumentError extends FreqFusionError {}

/** A checkpoint file that is damaged, hostile, or no checkpoint at all. */
export class CheckpointError extends FreqFusionError {}

/** State-dict keys that are missing, unexpected or of another shape. */
export class StateDictError extends FreqFusionError {}

/** An image that cannot be read, is too large, or cannot be written. */
export class ImageError extends FreqFusionError {}

/** An annotation or result file in one of COCO's formats that cannot be used. */
export class CocoError extends FreqFusionError {}

/** The Redis of a job queue that cannot be reached, refuses the log-in or refuses a command. */
export class RedisError extends FreqFusionError {}

/** A run of offline jobs that is not there, or is not what a call takes it for. */
export class JobsError extends FreqFusionError {}

/** The native addon or libtorch could not be loaded. */
export class LoadError extends FreqFusionError {}

/** The job was cancelled through its AbortSignal, or its environment ended. */
export class AbortError extends FreqFusionError {}

/** No memory, of the CPU or of a GPU. Of a GPU it says how much there was. */
export class OutOfMemoryError extends FreqFusionError {
  /** Bytes that were asked for; 0 where a library of NVIDIA's asked, which does not say. */
  readonly requestedBytes: number | undefined;
  /** Bytes that the driver could still have given. */
  readonly freeBytes: number | undefined;
  /** Bytes that this process held on the device. */
  readonly reservedBytes: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails & { requestedBytes?: number; freeBytes?: number; reservedBytes?: number } = {},
  ) {
    super(code, message, details);
    this.requestedBytes = details.requestedBytes;
    this.freeBytes = details.freeBytes;
    this.reservedBytes = details.reservedBytes;
  }
}

/** Words a value for an error message: short, typed, never the whole of a large array. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${viewLength(value)})`;
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map(describe).join(', ');
    return value.length > 8 ? `[${shown}, ... ${value.length} in all]` : `[${shown}]`;
  }
  if (typeof value === 'object') return value.constructor?.name ?? 'object';
  if (typeof value === 'bigint') return `${value}n`;
  return String(value);
}

function viewLength(view: ArrayBufferView): number {
  return 'length' in view ? (view.length as number) : view.byteLength;
}

/** Makes the project's one argument error: "expected X for NAME, got Y". */
export function invalidArgument(
  code: ErrorCode,
  name: string,
  expected: string,
  actual: unknown,
): ArgumentError {
  const got = describe(actual);
  return new ArgumentError(code, `expected ${expected} for ${name}, got ${got}`, { expected, actual: got });
}
