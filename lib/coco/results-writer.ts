import { PartFile } from './part-file';
import type { CocoResult } from './results';

/**
 * Writes a results file image by image, so that the detections of a whole data set need not be held. The file appears
 * when it is whole; until then it lies beside its place, as NAME.part.
 */
export class ResultsWriter {
  readonly file: string;
  readonly #part: PartFile;
  #separator = '[';

  private constructor(part: PartFile) {
    this.file = part.file;
    this.#part = part;
  }

  /** Begins the file. Throws ERR_COCO_WRITE where it cannot be written. */
  static async open(file: string): Promise<ResultsWriter> {
    return new ResultsWriter(await PartFile.open(file));
  }

  /** Appends detections. */
  async add(results: readonly CocoResult[]): Promise<void> {
    if (results.length === 0) return;
    const text = results.map((result) => JSON.stringify(result)).join(',\n');
    await this.#part.write(`${this.#separator}\n${text}`);
    this.#separator = ',';
  }

  /**
   * Ends the list, and puts the file in its place, over one of that name. Throws ERR_COCO_WRITE where that cannot be,
   * and leaves nothing behind then.
   */
  async close(): Promise<void> {
    try {
      await this.#part.write(this.#separator === '[' ? '[]\n' : '\n]\n');
    } catch (error) {
      await this.abandon();
      throw error;
    }
    await this.#part.close();
  }

  /** Removes what was written; a file of that name from before stays. Never throws: it is for use after an error. */
  async abandon(): Promise<void> {
    await this.#part.abandon();
  }
}
