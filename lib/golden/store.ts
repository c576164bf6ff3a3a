import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint } from '../checkpoint/checkpoint';
import type { StateDictEntry } from '../checkpoint/state-dict';
import { type DType, viewAs } from '../dtype';
import type { HostArray } from './compare';
import { GoldenError } from './error';

/** The elements of a state-dict entry on the JavaScript side. */
export function hostEntry(entry: StateDictEntry): HostArray {
  // A copy: the bytes may be a view that is not aligned for wider elements.
  const bytes = Uint8Array.from(entry.bytes());
  return {
    dtype: entry.dtype,
    shape: entry.shape,
    data: viewAs(bytes.buffer, entry.dtype) as HostArray['data'],
  };
}

/** Reads every array of a safetensors file of a case. Throws GoldenError where the file is missing or broken. */
export async function readStored(folder: string, file: string): Promise<Map<string, HostArray>> {
  const path = join(folder, file);
  if (!existsSync(path)) throw new GoldenError(`${file} is missing`);
  let checkpoint: Checkpoint;
  try {
    checkpoint = await Checkpoint.open(path);
  } catch (error) {
    throw new GoldenError(`${file} cannot be read: ${(error as Error).message}`, error);
  }
  try {
    return new Map(
      Array.from(checkpoint.stateDict({ raw: true }), (entry) => [entry.name, hostEntry(entry)]),
    );
  } finally {
    checkpoint.close();
  }
}

/** Whether values of a dtype are rounded to the dtype that a run computes in. */
export function isFloating(dtype: DType): boolean {
  return dtype === 'bfloat16' || dtype.startsWith('float');
}
