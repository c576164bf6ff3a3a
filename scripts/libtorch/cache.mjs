import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { arch, homedir, hostname, platform } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PINNED_VERSION } from './check.mjs';
import { SetupError } from './errors.mjs';

const BEAT_MS = 2_000;
const STALE_MS = 30_000;

/** The folder of everything that is fetched: FREQFUSION_CACHE, or freqfusion/libtorch in the user's cache folder. */
export function cacheFolder(env = process.env) {
  if (env.FREQFUSION_CACHE) return env.FREQFUSION_CACHE;
  const base = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  return join(base, 'freqfusion', 'libtorch');
}

/** The folder of the pinned libtorch inside the cache. Homes are shared between machines: the name says for which. */
export function cachedCopy(cache) {
  return join(cache, `${PINNED_VERSION}-cpu-${platform()}-${arch()}`);
}

/** Makes the cache folder and proves that it can be written. Throws ERR_SETUP_CACHE_UNWRITABLE. */
export function prepareCache(cache) {
  const probe = join(cache, `.probe-${process.pid}`);
  try {
    mkdirSync(cache, { recursive: true });
    writeFileSync(probe, '');
    unlinkSync(probe);
  } catch (error) {
    throw new SetupError(
      'ERR_SETUP_CACHE_UNWRITABLE',
      `expected a cache folder that can be written, got ${cache} (${error.code}). Let FREQFUSION_CACHE name another folder, or mend its permissions.`,
    );
  }
}

/** Bytes that an ordinary user may still write to the file system of a folder. */
export function freeBytes(folder) {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Whether a process of this machine still runs. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** A new folder name for unfinished work. It carries the process, so that the next run knows what is left over. */
export function partialFolder(cache) {
  return join(cache, `.partial-${hostname()}-${process.pid}`);
}

/** Removes the unfinished folders of processes that are gone; returns how many there were. */
export function removeLeftovers(cache) {
  let removed = 0;
  for (const name of readdirSync(cache)) {
    const match = /^\.partial-(.*)-(\d+)$/.exec(name);
    if (match === null) continue;
    const path = join(cache, name);
    const here = match[1] === hostname();
    const left = here ? !isAlive(Number(match[2])) : Date.now() - statSync(path).mtimeMs > 24 * 3_600_000;
    if (!left) continue;
    rmSync(path, { recursive: true, force: true });
    removed += 1;
  }
  return removed;
}

function holder(lock) {
  try {
    const { mtimeMs } = statSync(lock);
    const { pid, host } = JSON.parse(readFileSync(lock, 'utf8') || '{}');
    const dead = host === hostname() && pid !== undefined && !isAlive(pid);
    return { pid, stale: dead || Date.now() - mtimeMs > STALE_MS };
  } catch {
    return { pid: undefined, stale: !existsSync(lock) };
  }
}

/**
 * Runs one function at a time across processes, through a file that its holder touches while it works. A lock whose
 * process died is taken over. What the function makes must still be put in place by one rename: the lock saves work,
 * it does not guard a half-made folder. Throws ERR_SETUP_BUSY after `patience` milliseconds of waiting.
 */
export async function withLock(lock, run, { log = () => {}, patience = 30 * 60_000 } = {}) {
  const since = Date.now();
  let told = false;
  for (;;) {
    try {
      writeFileSync(lock, JSON.stringify({ pid: process.pid, host: hostname() }), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const { pid, stale } = holder(lock);
    if (stale) {
      rmSync(lock, { force: true });
      continue;
    }
    if (Date.now() - since > patience) {
      throw new SetupError(
        'ERR_SETUP_BUSY',
        `process ${pid} has held ${lock} for ${Math.round((Date.now() - since) / 60_000)} minutes. Wait for it, or end it and try again.`,
      );
    }
    if (!told) log(`waiting for process ${pid}, which does the same work`);
    told = true;
    await sleep(200);
  }
  const beat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(lock, now, now);
    } catch {
      // The lock was taken away by hand: the work goes on, its result is put in place by a rename.
    }
  }, BEAT_MS);
  try {
    return await run();
  } finally {
    clearInterval(beat);
    rmSync(lock, { force: true });
  }
}
