// `npm run build:gyp`: builds the addon with node-gyp in build-gyp/, beside the one of cmake-js, and smoke-tests it in
// a process of its own. The last line is `N passed, N failed`.
import { existsSync, lstatSync, mkdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { ensureLibtorch } from './libtorch/ensure.mjs';
import { exitWith } from './libtorch/errors.mjs';
import { runAttached } from './libtorch/process.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = join(ROOT, 'build-gyp');
const ADDON = join(FOLDER, 'build', 'Release', 'freqfusion.node');
/** What binding.gyp reads. node-gyp always builds in build/ below its own folder, which here is not the project's. */
const LINKED = ['binding.gyp', 'package.json', 'cmake', 'native', 'scripts', 'node_modules'];

/** The headers that Node's own packages bring along: with them node-gyp downloads nothing. */
function nodedir() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'common.gypi')) ? [`--nodedir=${prefix}`] : [];
}

function prepareFolder() {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of LINKED) {
    const link = join(FOLDER, name);
    if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(join(ROOT, name), link);
  }
}

try {
  const libtorch = await ensureLibtorch();
  await build('ts');
  prepareFolder();
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const args = [nodeGyp, 'configure', 'build', '--jobs', String(availableParallelism()), ...nodedir()];
  const options = { cwd: FOLDER, env: { ...process.env, LIBTORCH: libtorch.root } };
  if ((await runAttached(process.execPath, [...args, '--loglevel', 'warn'], options)) !== 0) {
    console.log('0 passed, 1 failed');
    process.exitCode = 1;
  } else {
    const smoke = fileURLToPath(new URL('smoke.mjs', import.meta.url));
    process.exitCode = await runAttached(process.execPath, [smoke], {
      env: { ...process.env, FREQFUSION_ADDON: ADDON },
    });
  }
} catch (error) {
  exitWith(error);
}
