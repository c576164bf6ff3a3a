import { type FileHandle, open } from 'node:fs/promises';
import { CocoError } from '../errors';
import type { CocoResult } from './results';

/** Writes a results file image by image, so that the detections of a whole data set need not be held. */
export class ResultsWriter {
  readonly file: string;
  readonly #handle: FileHandle;
  #separator = '[';

  private constructor(file: string, handle: FileHandle) {
    this.file = file;
    this.#handle = handle;
  }

  /** Makes the file, or empties it. Throws ERR_COCO_WRITE where it cannot be written. */
  static async open(file: string): Promise<ResultsWriter> {
    return new ResultsWriter(
      file,
      await open(file, 'w').catch((error) => Promise.reject(writeError(file, error))),
    );
  }

  /** Appends detections. */
  async add(results: readonly CocoResult[]): Promise<void> {
    if (results.length === 0) return;
    const text = results.map((result) => JSON.stringify(result)).join(',\n');
    await this.#write(`${this.#separator}\n${text}`);
    this.#separator = ',';
  }

  /** Ends the list and closes the file; without this it is no JSON. */
  async close(): Promise<void> {
    await this.#write(this.#separator === '[' ? '[]\n' : '\n]\n');
    await this.#handle.close();
  }

  async #write(text: string): Promise<void> {
    await this.#handle.writeFile(text).catch((error) => Promise.reject(writeError(this.file, error)));
  }
}

/** ERR_COCO_WRITE with the system's reason. */
export function writeError(file: string, error: NodeJS.ErrnoException): CocoError {
  const reason = error.code === 'ENOENT' ? 'its folder does not exist' : (error.code ?? error.message);
  return new CocoError('ERR_COCO_WRITE', `${file} cannot be written: ${reason}`, {
    actual: reason,
    cause: error,
  });
}
