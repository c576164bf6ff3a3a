// `npm run demo`: builds what is missing, then segments one bundled page with the bundled checkpoint.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { exitWith } from './libtorch/errors.mjs';
import { runAttached } from './libtorch/process.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = join('models', 'layout', 'val', 'page_00.png');
const OVERLAY = join('demo', 'page_00.png');

try {
  await build();
  mkdirSync(join(ROOT, 'demo'), { recursive: true });
  const args = [join('dist', 'cli', 'main.js'), 'segment', PAGE, '-o', OVERLAY];
  console.log(`$ freqfusion ${args.slice(1).join(' ')}`);
  process.exitCode = await runAttached(process.execPath, args, { cwd: ROOT });
  if (process.exitCode === 0) console.log(`\nThe overlay lies in ${join(ROOT, OVERLAY)}`);
} catch (error) {
  exitWith(error);
}
