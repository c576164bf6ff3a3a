import { describe, type ErrorCode, FreqFusionError } from '../../errors';
import type { RenderJob } from './render';

/** What the pool tells a worker: a job to do, or one that nobody waits for any more. */
export type ToWorker = { readonly id: number; readonly job: RenderJob } | { readonly cancel: number };

/** An error as it goes from thread to thread. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly expected: string | undefined;
  readonly actual: string | undefined;
}

/** What a worker tells the pool: that it has started, or what became of a job. */
export type FromWorker =
  | { readonly ready: true }
  | { readonly id: number; readonly bytes: ArrayBuffer }
  | { readonly id: number; readonly error: PlainError };

/** An error without its class, which would not survive the way. */
export function plainError(error: unknown): PlainError {
  if (error instanceof FreqFusionError) {
    const { code, message, expected, actual } = error;
    return { code, message, expected, actual };
  }
  const message = error instanceof Error ? error.message : describe(error);
  return { code: 'ERR_INTERNAL', message, expected: undefined, actual: undefined };
}

/** The error again. */
export function fromPlain({ code, message, expected, actual }: PlainError): FreqFusionError {
  return new FreqFusionError(code, message, { expected, actual });
}
