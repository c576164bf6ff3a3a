import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { httpErrorOf } from '../http-errors';

/** gRPC's statuses by HTTP's; what is not here and below 500 is INVALID_ARGUMENT. */
const STATUS: Readonly<Record<number, status>> = {
  401: status.UNAUTHENTICATED,
  404: status.NOT_FOUND,
  408: status.DEADLINE_EXCEEDED,
  429: status.RESOURCE_EXHAUSTED,
  499: status.CANCELLED,
  503: status.UNAVAILABLE,
  504: status.DEADLINE_EXCEEDED,
};

/** Trailers of a call that failed: the error's code, what was expected and what came, and when to try again. */
const TRAILER = {
  code: 'freqfusion-code',
  expected: 'freqfusion-expected',
  actual: 'freqfusion-actual',
} as const;

/** An error as gRPC tells it: the same words as over HTTP, the code and its details in the trailers. */
export function grpcErrorOf(error: unknown): ServiceError {
  const { status: http, body, retryAfter } = httpErrorOf(error);
  const metadata = new Metadata();
  for (const name of ['code', 'expected', 'actual'] as const) {
    const value = body[name];
    if (value !== undefined) metadata.set(TRAILER[name], printable(value));
  }
  if (retryAfter !== undefined) metadata.set('retry-after', String(retryAfter));
  const code = STATUS[http] ?? (http < 500 ? status.INVALID_ARGUMENT : status.INTERNAL);
  return Object.assign(new Error(body.error), { code, details: body.error, metadata });
}

/** Trailers are of printable ASCII. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, 512);
}
