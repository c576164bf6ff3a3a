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
    const name = className.replace(/[^\p{L}\p{N}._-]+/gu, '-');
    await mask?.toPng(join(folder, `${String(i).padStart(3, '0')}_${name}.png`));
  }
}
