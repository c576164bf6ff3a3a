import { FreqFusionError } from '../errors';

/** A golden case that cannot be read or run: a broken case.json, a missing file, an unknown option or family. */
export class GoldenError extends FreqFusionError {
  constructor(message: string, cause?: unknown) {
    super('ERR_GOLDEN', message, { cause });
  }
}
