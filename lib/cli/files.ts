import { type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';

/** What a path leads to; undefined where it leads nowhere, for whatever reason. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** What makes two paths one file: the inode where it exists, otherwise the resolved path. */
export function identityOf(path: string): string {
  const stats = statOf(path);
  return stats === undefined ? resolve(path) : `${stats.dev}:${stats.ino}`;
}
