import { access, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { ImageError } from '../errors';

/** Which job writes, and for the how many-th time: what lies beside an output until it is whole is named by it. */
export interface Writer {
  readonly id: string;
  /** From 1. */
  readonly attempt: number;
}

/**
 * Writes a file, or a folder of files, that appears whole or not at all: under another name beside it first, flushed to
 * the disk, then renamed. Files of a folder are renamed one by one, and what lies there already stays. Leftovers of
 * earlier attempts of the same job are removed. Throws what `write` throws, and ERR_IMAGE_WRITE.
 */
export async function writeWhole(
  output: string,
  writer: Writer,
  folder: boolean,
  write: (path: string) => Promise<void>,
): Promise<void> {
  const place = (attempt: number) => partPath(output, { ...writer, attempt });
  const part = place(writer.attempt);
  try {
    await system(output, () => mkdir(dirname(output), { recursive: true }));
    for (let attempt = 1; attempt < writer.attempt; attempt += 1) await remove(place(attempt));
    if (folder) await system(output, () => mkdir(part, { recursive: true }));
    await write(part);
    await system(output, () => (folder ? moveFiles(part, output) : moveFile(part, output)));
  } catch (error) {
    await remove(part);
    throw error;
  }
}

/** Whether something is there. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The id stands for the output, whose own name may be as long as names can be; the extension says what is written. */
function partPath(output: string, { id, attempt }: Writer): string {
  return join(dirname(output), `.freqfusion-${id}.${attempt}.part${extname(output)}`);
}

async function moveFile(part: string, output: string): Promise<void> {
  await flush(part);
  await rename(part, output);
}

async function moveFiles(part: string, output: string): Promise<void> {
  await mkdir(output, { recursive: true });
  for (const name of await readdir(part)) await moveFile(join(part, name), join(output, name));
  await rm(part, { recursive: true });
}

/** Without it a machine that loses power may be left with the name and not with the bytes. */
async function flush(file: string): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

async function system(output: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new ImageError('ERR_IMAGE_WRITE', `${output} cannot be written: ${code}`, {
      expected: 'a file that can be written',
      actual: code,
      cause: error,
    });
  }
}
