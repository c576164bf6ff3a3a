import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { CocoError } from '../errors';

/**
 * A file that is written piece by piece, and appears under its name only when it is whole: until then it lies beside
 * it, as NAME.part. What is no regular file, such as a pipe, is written to directly.
 */
export class PartFile {
  readonly #handle: FileHandle;
  readonly #target: string;
  /** Where the bytes go; the target itself where that is no regular file. */
  readonly #part: string;

  private constructor(
    /** The path that was given, for errors. */
    readonly file: string,
    { handle, target, part }: { handle: FileHandle; target: string; part: string },
  ) {
    this.#handle = handle;
    this.#target = target;
    this.#part = part;
  }

  /** Begins a file. Throws ERR_COCO_WRITE where it cannot be written, also for a folder. */
  static async open(file: string): Promise<PartFile> {
    try {
      // A link stays one: what it leads to is replaced. A device must never be.
      const target = await realpath(file).catch(() => file);
      const status = await stat(target).catch(() => undefined);
      const part =
        status === undefined || status.isFile() || status.isDirectory() ? `${target}.part` : target;
      if (status?.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
      return new PartFile(file, { handle: await open(part, 'w'), target, part });
    } catch (error) {
      throw writeError(file, error as NodeJS.ErrnoException);
    }
  }

  /** Appends text. Throws ERR_COCO_WRITE. */
  async write(text: string): Promise<void> {
    await this.#handle.writeFile(text).catch((error) => Promise.reject(writeError(this.file, error)));
  }

  /** Gives the file its name. Throws ERR_COCO_WRITE where that cannot be, and leaves nothing behind then. */
  async close(): Promise<void> {
    try {
      await this.#handle.close();
      if (this.#part !== this.#target) await rename(this.#part, this.#target);
    } catch (error) {
      await this.abandon();
      throw writeError(this.file, error as NodeJS.ErrnoException);
    }
  }

  /** Removes what was written; a file of that name from before stays. Never throws: it is for use after an error. */
  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => undefined);
    if (this.#part !== this.#target) await rm(this.#part, { force: true }).catch(() => undefined);
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
