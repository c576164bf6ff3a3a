import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import { readJson } from './build-key.mjs';
import { ensureLibtorch } from './libtorch/ensure.mjs';
import { runAttached } from './libtorch/process.mjs';

/** What the build was made with; it lies beside CMakeCache.txt. */
export const RECORD = 'freqfusion-build.json';
/** The compiler's peak on the largest file of this project, with some room. */
const BYTES_PER_JOB = 1.2e9;

async function cmakeJs(root, command, options) {
  const cli = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const args = [cli, command, '--directory', root, '--out', join(root, 'build'), '--log-level', 'warn'];
  const status = await runAttached(process.execPath, [...args, ...options], { cwd: root });
  if (status !== 0) throw new Error(`cmake-js ${command} failed: its words stand above (docs/install.md)`);
}

/** How many files to compile at once: as many as there are cores, and memory for. */
function jobs() {
  const byMemory = Math.max(1, Math.floor(freemem() / BYTES_PER_JOB));
  return Math.min(availableParallelism(), byMemory);
}

/** Builds build/Release with cmake-js. Configures anew only where the libtorch or Node changed. */
export async function buildNative(root, log) {
  const libtorch = await ensureLibtorch({ log });
  const build = join(root, 'build');
  const file = join(build, RECORD);
  const wanted = {
    project: root,
    torch: libtorch.version,
    libtorch: libtorch.root,
    cuda: libtorch.cuda,
    node: process.versions.node,
    arch: process.arch,
  };
  const before = readJson(file);
  const same = before !== undefined && Object.keys(wanted).every((key) => before[key] === wanted[key]);
  if (!same || !existsSync(join(build, 'CMakeCache.txt'))) {
    mkdirSync(build, { recursive: true });
    rmSync(file, { force: true });
    // A cache made for another place or another generator would make cmake refuse.
    rmSync(join(build, 'CMakeCache.txt'), { force: true });
    rmSync(join(build, 'CMakeFiles'), { recursive: true, force: true });
    await cmakeJs(root, 'configure', [`--CDFREQFUSION_TORCH=${libtorch.root}`]);
    writeFileSync(file, `${JSON.stringify(wanted, null, 2)}\n`);
  }
  await cmakeJs(root, 'build', ['--parallel', String(jobs())]);
}
