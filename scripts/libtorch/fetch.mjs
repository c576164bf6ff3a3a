import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  cachedCopy,
  cacheFolder,
  freeBytes,
  partialFolder,
  prepareCache,
  removeLeftovers,
  withLock,
} from './cache.mjs';
import { inspectLibtorch, PINNED_VERSION } from './check.mjs';
import { downloadWheel, gpuWheel, pythonWithPip } from './download.mjs';
import { SetupError } from './errors.mjs';
import { fetchedTorch, MANIFEST } from './find.mjs';
import { runCommand } from './process.mjs';

/** The wheel (192 MB) and what is unpacked of it (490 MB) lie side by side for a moment. */
const NEEDED_BYTES = 750e6;
const UNPACK = fileURLToPath(new URL('unpack.py', import.meta.url));

function checkSpace(cache, free) {
  const available = free(cache);
  if (available >= NEEDED_BYTES) return;
  throw new SetupError(
    'ERR_SETUP_NO_SPACE',
    `expected ${NEEDED_BYTES / 1e6} MB free in ${cache}, got ${Math.floor(available / 1e6)} MB. Make room, or let FREQFUSION_CACHE name a folder on another disk.`,
  );
}

async function unpackWheel(python, wheel, folder, env) {
  const result = await runCommand(python.command, ['-I', UNPACK, wheel, folder], { env, cwd: '/' });
  if (result.status !== 0) {
    throw new SetupError(
      'ERR_SETUP_DOWNLOAD',
      `${basename(wheel)} could not be unpacked: ${result.stderr.trim().split('\n').at(-1)}`,
    );
  }
  const { error, detail, libraries } = JSON.parse(result.stdout);
  if (error === 'accelerator') throw gpuWheel(detail);
  if (error === 'checksum') {
    throw new SetupError(
      'ERR_SETUP_CHECKSUM',
      `the wheel is damaged: ${detail}. It was removed; run "npm run setup" again.`,
    );
  }
  if (error === 'space') {
    throw new SetupError(
      'ERR_SETUP_NO_SPACE',
      `the disk filled up while unpacking (${detail}). Make room, or let FREQFUSION_CACHE name a folder on another disk.`,
    );
  }
  if (error !== undefined) throw new SetupError('ERR_SETUP_CACHE_UNWRITABLE', `unpacking failed: ${detail}`);
  return libraries;
}

/** Puts a finished folder in its place; a copy that another process put there in the meantime is as good. */
function place(unpacked, cache) {
  const target = cachedCopy(cache);
  if (fetchedTorch(cache).root === undefined) rmSync(target, { recursive: true, force: true });
  try {
    renameSync(unpacked, target);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
  }
}

/**
 * Fetches the pinned libtorch into the user's cache folder with pip, checks it file by file, and resolves to
 * {root, version, cuda, source}. Safe to run twice at once. Throws a SetupError for every failure it knows.
 */
export async function fetchLibtorch({ env = process.env, log = console.error, free = freeBytes } = {}) {
  const cache = cacheFolder(env);
  prepareCache(cache);
  const work = async () => {
    const ready = fetchedTorch(cache).root;
    if (ready !== undefined) return ready;
    if (removeLeftovers(cache) > 0) log('removed what an interrupted setup had left behind');
    checkSpace(cache, free);
    const partial = partialFolder(cache);
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial);
    try {
      const python = await pythonWithPip(partial, env);
      log(`fetching libtorch ${PINNED_VERSION} for the CPU (about 190 MB, 490 MB unpacked) into ${cache}`);
      const wheel = await downloadWheel(python, partial, { env, log });
      const unpacked = join(partial, 'unpacked');
      const libraries = await unpackWheel(python, wheel, unpacked, env);
      inspectLibtorch(join(unpacked, 'torch'));
      // Written last: a folder without it is not taken for a whole one.
      writeFileSync(
        join(unpacked, MANIFEST),
        `${JSON.stringify({ wheel: basename(wheel), libraries }, null, 2)}\n`,
      );
      place(unpacked, cache);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
    return join(cachedCopy(cache), 'torch');
  };
  const root = await withLock(join(cache, '.lock'), work, { log });
  return { ...inspectLibtorch(root), source: 'fetched' };
}
