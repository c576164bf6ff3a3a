// `npm run build [native|ts]`: the addon with cmake-js and lib/ with tsc, each only where something changed.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './libtorch/cache.mjs';
import { exitWith } from './libtorch/errors.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** Builds one part or all; two builds of one checkout wait for each other. */
export async function build(part = 'all', log = console.error) {
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  await withLock(
    join(ROOT, 'build', '.lock'),
    async () => {
      if (part !== 'ts') await (await import('./build-native.mjs')).buildNative(ROOT, log);
      if (part !== 'native') await (await import('./build-ts.mjs')).buildTypeScript(ROOT);
    },
    { log },
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const part = process.argv[2] ?? 'all';
  try {
    if (!['all', 'native', 'ts'].includes(part)) throw new Error(`expected native, ts or all, got ${part}`);
    await build(part);
  } catch (error) {
    exitWith(error);
  }
}
