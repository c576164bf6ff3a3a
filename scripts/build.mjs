// `npm run build [native|ts]`: the addon with cmake-js and lib/ with tsc, each only where something changed.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './libtorch/cache.mjs';
import { exitWith } from './libtorch/errors.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

const PARTS = {
  native: async (log) => (await import('./build-native.mjs')).buildNative(ROOT, log),
  ts: async () => (await import('./build-ts.mjs')).buildTypeScript(ROOT),
};

/** Builds one part or all; two builds of the same part of one checkout wait for each other. */
export async function build(part = 'all', log = console.error) {
  if (part !== 'all' && !Object.hasOwn(PARTS, part)) {
    throw new Error(`expected native, ts or all, got ${part}`);
  }
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  for (const each of part === 'all' ? Object.keys(PARTS) : [part]) {
    await withLock(join(ROOT, 'build', `.${each}.lock`), () => PARTS[each](log), { log });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build(process.argv[2]);
  } catch (error) {
    exitWith(error);
  }
}
