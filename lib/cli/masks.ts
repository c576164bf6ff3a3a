import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DetectionResult } from '../models/detection-result';
import { CliError, EXIT } from './exit';

/** Writes the mask of every detection as a PNG into a folder: 000_person.png, 001_dog.png, the best first. */
export async function writeMasks(result: DetectionResult, folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(`the folder ${folder} cannot be made (${code})`, EXIT.output, error);
  }
  for (const [i, { className, mask }] of result.detections.entries()) {
    await mask?.toPng(join(folder, `${String(i).padStart(3, '0')}_${fileNameOf(className)}.png`));
  }
}

/** Bytes of a class's name that its files are named by; file systems take 255 for the whole. */
const MOST_BYTES = 80;

/** What a file can be named by of a class's name: letters, digits and . _ - alone, and not too many. */
export function fileNameOf(className: string): string {
  let name = '';
  let bytes = 0;
  for (const letter of className.slice(0, 2 * MOST_BYTES).replace(/[^\p{L}\p{N}._-]+/gu, '-')) {
    bytes += Buffer.byteLength(letter);
    if (bytes > MOST_BYTES) break;
    name += letter;
  }
  return name;
}
