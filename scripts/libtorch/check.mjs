import { existsSync, readFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { SetupError } from './errors.mjs';

/** The release that `npm run setup` fetches where there is no libtorch. */
export const PINNED_VERSION = '2.13.0';
/** The first release whose wheels use the C++11 ABI of the compiler's own standard library. */
export const OLDEST_VERSION = '2.7.0';

const SUFFIX = platform() === 'darwin' ? '.dylib' : '.so';
// The first is where it stands since 2.9, the second where it stood before.
const VERSION_HEADERS = [
  'include/torch/headeronly/version.h',
  'include/torch/csrc/api/include/torch/version.h',
];
const NEEDED = [`lib/libtorch_cpu${SUFFIX}`, `lib/libc10${SUFFIX}`, 'include/ATen/core/Tensor.h'];

function compareVersions(a, b) {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  const at = left.findIndex((part, i) => part !== right[i]);
  return at < 0 ? 0 : left[at] - right[at];
}

function headerVersion(root) {
  for (const header of VERSION_HEADERS) {
    const file = join(root, header);
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    const parts = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part) => new RegExp(`#define TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1],
    );
    if (parts.every((part) => part !== undefined)) return parts.join('.');
  }
  return undefined;
}

/**
 * Reads what a folder holds: {root, version, cuda}.
 * Throws ERR_SETUP_NOT_LIBTORCH or ERR_SETUP_TOO_OLD.
 */
export function inspectLibtorch(root) {
  const missing = NEEDED.find((file) => !existsSync(join(root, file)));
  if (missing !== undefined) {
    throw new SetupError('ERR_SETUP_NOT_LIBTORCH', `${root} is no libtorch: it has no ${missing}`);
  }
  const version = headerVersion(root);
  if (version === undefined) {
    throw new SetupError('ERR_SETUP_NOT_LIBTORCH', `${root} is no libtorch: no header says its version`);
  }
  if (compareVersions(version, OLDEST_VERSION) < 0) {
    throw new SetupError(
      'ERR_SETUP_TOO_OLD',
      `expected libtorch ${OLDEST_VERSION} or newer, got ${version} in ${root}. Update that torch, or let LIBTORCH name a newer one.`,
    );
  }
  return { root, version, cuda: existsSync(join(root, `lib/libtorch_cuda${SUFFIX}`)) };
}

/** What a processor without AVX2 means for the user, or undefined where there is nothing to say. */
export function cpuNote(cpuinfo = readCpuinfo(), architecture = arch()) {
  if (architecture !== 'x64' || cpuinfo === undefined) return undefined;
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/);
  if (flags === undefined || (flags.includes('avx2') && flags.includes('fma'))) return undefined;
  return 'note: this processor has no AVX2. The baseline kernels give the same results, but several times more slowly.';
}

function readCpuinfo() {
  return existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : undefined;
}
