import { ServerError } from '../errors';

/** Bytes that the outputs of one request may have. */
export const MAX_OUTPUT_BYTES = 2 ** 30;

/** Counts the bytes of a request's outputs as they are made. */
export class OutputBudget {
  #taken = 0;

  /** Throws ServerError ERR_REQUEST_OUTPUT where it is more than a request may have. */
  take(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken <= MAX_OUTPUT_BYTES) return;
    const expected = `at most ${MAX_OUTPUT_BYTES} bytes of outputs`;
    throw new ServerError('ERR_REQUEST_OUTPUT', `expected ${expected}, got ${this.#taken} and more`, {
      expected,
      actual: `${this.#taken} bytes and more`,
    });
  }
}
