import { type ErrorCode, FreqFusionError } from '../errors';
import { ServerError } from './errors';

/** The body of every answer that is an error. */
export interface ErrorBody {
  /** What is wrong, in one line; the member that the Open Inference Protocol names. */
  readonly error: string;
  readonly code: ErrorCode;
  readonly expected?: string;
  readonly actual?: string;
  /** What the log calls the request. */
  readonly requestId: string;
}

/** An error as HTTP tells it. */
export interface HttpError {
  readonly status: number;
  readonly body: Omit<ErrorBody, 'requestId'>;
  /** Seconds for the Retry-After header. */
  readonly retryAfter?: number;
}

const STATUS: readonly (readonly [RegExp, number])[] = [
  [/^ERR_QUEUE_FULL$/, 429],
  [/^ERR_UNAUTHORIZED$/, 401],
  [/^ERR_MODEL_UNKNOWN$/, 404],
  [/^ERR_NOT_FOUND$/, 404],
  [/^ERR_METHOD$/, 405],
  [/^ERR_NOT_ACCEPTABLE$/, 406],
  [/^ERR_REQUEST_TIMEOUT$/, 408],
  [/^ERR_BODY_TOO_LARGE$/, 413],
  [/^ERR_IMAGE_TOO_LARGE$/, 413],
  [/^ERR_MEDIA_TYPE$/, 415],
  [/^ERR_IMAGE_FORMAT$/, 415],
  [/^ERR_ABORTED$/, 499],
  [/^ERR_(MODEL_NOT_READY|OVERLOADED|SHUTTING_DOWN)$/, 503],
  [/OUT_OF_MEMORY$/, 503],
  [/^ERR_DEADLINE$/, 504],
  // What a model was given, not what it is: the client can mend it.
  [/^ERR_(REQUEST|IMAGE|TYPE|SHAPE|RANGE|DTYPE|OPTION|MODEL_TASK|LABEL)/, 400],
];

/** Statuses of fastify's own errors, with the codes that they are told by. */
const FASTIFY: Readonly<Record<number, ErrorCode>> = {
  400: 'ERR_REQUEST',
  404: 'ERR_NOT_FOUND',
  405: 'ERR_METHOD',
  406: 'ERR_NOT_ACCEPTABLE',
  408: 'ERR_REQUEST_TIMEOUT',
  413: 'ERR_BODY_TOO_LARGE',
  415: 'ERR_MEDIA_TYPE',
  503: 'ERR_OVERLOADED',
};

/**
 * Words an error for a client. What is a fault of the server's own is not told: the log has it, under the request's id.
 */
export function httpErrorOf(error: unknown): HttpError {
  if (error instanceof FreqFusionError) {
    const status = STATUS.find(([pattern]) => pattern.test(error.code))?.[1] ?? 500;
    const { code, message, expected, actual } = error;
    const retryAfter = error instanceof ServerError ? error.retryAfter : status === 503 ? 1 : undefined;
    if (status === 500) return internal(code);
    return {
      status,
      body: {
        error: withoutPaths(message),
        code,
        ...(expected !== undefined && { expected: withoutPaths(expected) }),
        ...(actual !== undefined && { actual: withoutPaths(actual) }),
      },
      ...(retryAfter !== undefined && { retryAfter }),
    };
  }
  const status = (error as { statusCode?: unknown })?.statusCode;
  const code = typeof status === 'number' ? FASTIFY[status] : undefined;
  if (code === undefined) return internal('ERR_INTERNAL');
  return { status: status as number, body: { error: withoutPaths((error as Error).message), code } };
}

function internal(code: ErrorCode): HttpError {
  return { status: 500, body: { error: 'internal error; the log of the server says more', code } };
}

/** A message with the absolute paths in it cut to their last part: they are nobody's business outside the host. */
export function withoutPaths(message: string): string {
  return message.replace(/(?<![\w.:/])\/(?:[^\s/:'",()]+\/)*([^\s/:'",()]+)/g, '$1');
}
