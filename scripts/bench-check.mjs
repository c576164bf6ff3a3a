// `npm run bench:check`: a short comparison, held against the newest committed one. Ratios count, not times; one that is
// more than 15 % lower than the committed one is a loss, and the exit status 1. For maintainers: a machine has moods.
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchPython, ROOT, renderer } from './bench-python.mjs';
import { runAttached } from './libtorch/process.mjs';

const RESULTS = join('bench', 'results');
const SHORT = ['--cases', 'C,D,carafe', '--contenders', 'eager,library', '--seconds', '5'];

const folder = mkdtempSync(join(tmpdir(), 'freqfusion-bench-'));
try {
  const kept = existsSync(join(ROOT, RESULTS)) ? readdirSync(join(ROOT, RESULTS)) : [];
  const committed = kept
    .filter((name) => name.endsWith('.json'))
    .sort()
    .at(-1);
  if (committed === undefined) throw new Error(`expected results in ${RESULTS}, found none`);
  const fresh = join(folder, 'fresh.json');
  const dist = process.env.FREQFUSION_DIST === undefined ? [] : ['--dist', process.env.FREQFUSION_DIST];
  const args = [join('bench', 'compare.py'), ...dist, ...SHORT, '--json', fresh, ...process.argv.slice(2)];
  const render = renderer();
  const status = await runAttached(benchPython(), args, { cwd: ROOT });
  if (status !== 0) throw new Error(`the comparison ended with ${status}`);
  console.log(`\nHeld against ${join(RESULTS, committed)}:`);
  const check = [render, fresh, '--check', join(RESULTS, committed)];
  process.exitCode = await runAttached(process.execPath, check, { cwd: ROOT });
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
