// `npm run bench:compare`: bench/compare.py with the Python of `npm run bench:setup`. Words after -- go to it, and with
// --save the results are kept: bench/results/DATE-CPU.json, .md and .svg, and the table between the marks in README.md.
// With --device cuda the name is that of the GPU, and README.md has marks of its own for it, or none.
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { benchPython, ROOT, renderer } from './bench-python.mjs';
import { runAttached } from './libtorch/process.mjs';

/** A name for files: the date, and the processor or the GPU in letters and digits. */
function baseName({ environment, gpu }) {
  const what = (gpu?.gpu ?? environment?.cpu ?? cpus()[0]?.model ?? 'cpu').toLowerCase();
  const date = environment?.date ?? new Date().toISOString();
  return `${date.slice(0, 10)}-${what.replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '')}`;
}

try {
  const words = process.argv.slice(2);
  const save = words.includes('--save');
  const given = words.filter((word) => word !== '--save');
  const folder = join('bench', 'results');
  const fresh = join(ROOT, folder, 'fresh.json');
  if (save) mkdirSync(join(ROOT, folder), { recursive: true });
  const dist = process.env.FREQFUSION_DIST === undefined ? [] : ['--dist', process.env.FREQFUSION_DIST];
  const args = [join('bench', 'compare.py'), ...dist, ...given, ...(save ? ['--json', fresh] : [])];
  const renderers = { cpu: renderer('render.js'), gpu: renderer('gpu-render.js') };
  const status = await runAttached(benchPython(), args, { cwd: ROOT });
  process.exitCode = status ?? 1;
  if (save && status === 0) {
    const result = JSON.parse(readFileSync(fresh, 'utf8'));
    const base = join(folder, baseName(result));
    renameSync(fresh, join(ROOT, `${base}.json`));
    const render = result.gpu === undefined ? renderers.cpu : renderers.gpu;
    const saved = [render, `${base}.json`, '--save', base, 'README.md'];
    process.exitCode = await runAttached(process.execPath, saved, { cwd: ROOT });
    const theirs = result.gpu === undefined ? 'the table' : 'the block of GPUs, where there is one,';
    console.log(`\nSaved as ${base}.json, .md and .svg; ${theirs} in README.md is theirs.`);
  }
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
