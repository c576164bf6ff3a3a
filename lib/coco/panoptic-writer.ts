import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { encodePanopticPng, type SegmentIds } from './panoptic-png';
import type { SegmentInfo } from './panoptic-segments';
import { writeError } from './results-writer';

/** Writes panoptic results: a PNG an image at once, the JSON file that describes them at the end. */
export class PanopticWriter {
  readonly #file: string;
  readonly #annotations: { image_id: number; file_name: string; segments_info: readonly SegmentInfo[] }[] =
    [];

  private constructor(
    file: string,
    /** Where the PNGs go: the path of the JSON file without its extension, as COCO has it. */
    readonly folder: string,
  ) {
    this.#file = file;
  }

  /** Makes the folder of the PNGs. Throws ERR_COCO_WRITE where that cannot be. */
  static async open(file: string): Promise<PanopticWriter> {
    const folder = join(dirname(file), basename(file).replace(/\.json$/, ''));
    await mkdir(folder, { recursive: true }).catch((error) => Promise.reject(writeError(folder, error)));
    return new PanopticWriter(file, folder);
  }

  /** Writes the PNG of an image and keeps what describes it. */
  async add(
    imageId: number,
    fileName: string,
    { ids, width, height }: SegmentIds,
    segments: readonly SegmentInfo[],
  ): Promise<void> {
    const png = join(this.folder, fileName);
    const bytes = await encodePanopticPng(ids, width, height);
    await writeFile(png, bytes).catch((error) => Promise.reject(writeError(png, error)));
    this.#annotations.push({ image_id: imageId, file_name: fileName, segments_info: segments });
  }

  /** Writes the JSON file. */
  async close(): Promise<void> {
    const text = `${JSON.stringify({ annotations: this.#annotations })}\n`;
    await writeFile(this.#file, text).catch((error) => Promise.reject(writeError(this.#file, error)));
  }
}
