import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's own folder. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** Where `npm run bench:setup` puts its virtual environment. */
export const VENV = join(ROOT, 'bench', '.venv');

/** The Python that runs bench/compare.py: FREQFUSION_BENCH_PYTHON, or that of `npm run bench:setup`. */
export function benchPython() {
  const python = process.env.FREQFUSION_BENCH_PYTHON ?? join(VENV, 'bin', 'python');
  if (existsSync(python)) return python;
  throw new Error(`expected a Python at ${python}, found none: run "npm run bench:setup" first`);
}

/** The compiled program that shows and saves results: render.js, or gpu-render.js for those of a GPU. */
export function renderer(name = 'render.js') {
  const file = join(process.env.FREQFUSION_DIST ?? join(ROOT, 'dist'), 'bench', name);
  if (existsSync(file)) return file;
  throw new Error(`expected ${file}, found none: run "npm run build" first`);
}
