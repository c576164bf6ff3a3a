import { type ErrorCode, type ErrorDetails, FreqFusionError } from '../errors';

/** An error of the server: a config that cannot be used, or a request that cannot be served now or at all. */
export class ServerError extends FreqFusionError {
  /** Seconds after which trying again makes sense. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails & { retryAfter?: number } = {}) {
    super(code, message, details);
    this.retryAfter = details.retryAfter;
  }
}
