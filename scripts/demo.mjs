// `npm run demo`: builds what is missing, then runs the bundled models: segments a page, and detects shapes in a picture.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { exitWith } from './libtorch/errors.mjs';
import { runAttached } from './libtorch/process.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join('models', 'layout', 'val', 'page_00.png');
const PICTURE = join('models', 'shapes', 'val', 'picture_04.png');
const RUNS = [
  ['segment', PAGE, '-o', join('demo', 'page_00.png')],
  ['detect', PICTURE, '-o', join('demo', 'picture_04.png')],
];

try {
  await build();
  mkdirSync(join(ROOT, 'demo'), { recursive: true });
  process.exitCode = 0;
  for (const words of RUNS) {
    console.log(`\n$ freqfusion ${words.join(' ')}`);
    const args = [join('dist', 'cli', 'main.js'), ...words];
    const status = await runAttached(process.execPath, args, { cwd: ROOT });
    if (status !== 0) process.exitCode = status ?? 1;
  }
  if (process.exitCode === 0) console.log(`\nThe overlays lie in ${join(ROOT, 'demo')}`);
} catch (error) {
  exitWith(error);
}
