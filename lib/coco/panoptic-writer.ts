import { mkdir, mkdtemp, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { invalidArgument } from '../errors';
import { staysInside } from './fields';
import { encodePanopticPng, type SegmentIds } from './panoptic-png';
import type { SegmentInfo } from './panoptic-segments';
import { PartFile, writeError } from './part-file';

/** Where the PNGs of a panoptic file lie: its path without the extension, as COCO has it. */
export function panopticFolder(file: string): string {
  return join(dirname(file), basename(file).replace(/\.json$/i, ''));
}

/**
 * Writes panoptic results: a PNG an image at once, the JSON file that describes them at the end. They appear in their
 * places when all is whole; until then the PNGs lie in a folder of their own inside theirs.
 */
export class PanopticWriter {
  /** Where the PNGs go: the path of the JSON file without its extension, as COCO has it. */
  readonly folder: string;
  readonly #json: PartFile;
  readonly #parts: string;
  /** Whether the folder was not there before. */
  readonly #isNew: boolean;
  readonly #annotations: { image_id: number; file_name: string; segments_info: readonly SegmentInfo[] }[] =
    [];

  private constructor(
    json: PartFile,
    { folder, parts, isNew }: { folder: string; parts: string; isNew: boolean },
  ) {
    this.folder = folder;
    this.#json = json;
    this.#parts = parts;
    this.#isNew = isNew;
  }

  /** Begins the file and makes its folder. Throws ERR_ARGUMENT for a name without .json and ERR_COCO_WRITE where it cannot be written. */
  static async open(file: string): Promise<PanopticWriter> {
    const folder = panopticFolder(file);
    if (folder === join(file)) throw invalidArgument('ERR_ARGUMENT', 'file', 'a name ending in .json', file);
    const made = await system(folder, () => mkdir(folder, { recursive: true }));
    let json: PartFile | undefined;
    try {
      json = await PartFile.open(file);
      // Inside the folder, which may be of another file system than what is beside it.
      const parts = await system(folder, () => mkdtemp(join(folder, '.part-')));
      return new PanopticWriter(json, { folder, parts, isNew: made !== undefined });
    } catch (error) {
      await json?.abandon();
      if (made !== undefined) await rmdir(folder).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Writes the PNG of an image and keeps what describes it. Throws ERR_ARGUMENT for a file name that leads out of the
   * folder, and ERR_COCO_WRITE.
   */
  async add(
    imageId: number,
    fileName: string,
    { ids, width, height }: SegmentIds,
    segments: readonly SegmentInfo[],
  ): Promise<void> {
    if (!staysInside(fileName)) {
      throw invalidArgument('ERR_ARGUMENT', 'fileName', 'a path inside the folder of the PNGs', fileName);
    }
    const bytes = await encodePanopticPng(ids, width, height);
    await system(join(this.folder, fileName), async () => {
      const png = join(this.#parts, fileName);
      await mkdir(dirname(png), { recursive: true });
      await writeFile(png, bytes);
    });
    this.#annotations.push({ image_id: imageId, file_name: fileName, segments_info: segments });
  }

  /**
   * Puts the PNGs and the JSON file in their places, over those of the same names. Throws ERR_COCO_WRITE where that
   * cannot be.
   * @param members what the JSON file has beside its annotations.
   */
  async close(members: Readonly<Record<string, unknown>> = {}): Promise<void> {
    try {
      await this.#json.write(`${JSON.stringify({ ...members, annotations: this.#annotations })}\n`);
      for (const name of new Set(this.#annotations.map((each) => each.file_name))) {
        const png = join(this.folder, name);
        await system(png, async () => {
          await mkdir(dirname(png), { recursive: true });
          await rename(join(this.#parts, name), png);
        });
      }
      await this.#json.close();
    } catch (error) {
      await this.abandon();
      throw error;
    }
    await rm(this.#parts, { recursive: true, force: true }).catch(() => undefined);
  }

  /** Removes what was written; files of these names from before stay. Never throws: it is for use after an error. */
  async abandon(): Promise<void> {
    await this.#json.abandon();
    await rm(this.#parts, { recursive: true, force: true }).catch(() => undefined);
    if (this.#isNew) await rmdir(this.folder).catch(() => undefined);
  }
}

async function system<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw writeError(file, error as NodeJS.ErrnoException);
  }
}
