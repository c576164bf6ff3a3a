import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PINNED_VERSION } from './check.mjs';
import { SetupError } from './errors.mjs';
import { runCommand } from './process.mjs';

/** The largest CPU wheel of any platform stays well below this, the smallest CUDA wheel well above. */
const LARGEST_CPU_WHEEL_MB = 400;
/** The libraries do not depend on Python's version, so a Python without a wheel takes that of another. */
const OTHER_PYTHON = '3.12';
const UNITS = { bytes: 1e-6, kB: 1e-3, MB: 1, GB: 1e3 };

/** The ways to a libtorch that need no download by this project. */
export const OTHER_WAYS =
  'Ways out: let LIBTORCH name a folder with lib/ and include/ (for example an unpacked libtorch zip for the CPU, C++11 ABI, ' +
  'from the "Start Locally" page of pytorch.org), or put a python3 with torch 2.7 or newer first on PATH.';

const CPU_INDEX =
  'To fetch the CPU build, set PIP_EXTRA_INDEX_URL to the CPU index that the "Start Locally" page of pytorch.org shows (Pip, Python, CPU) and run this again.';

/** A python3 command with pip: the one on PATH, or a virtual environment made from it where it has ensurepip alone. */
export async function pythonWithPip(folder, env) {
  const options = { env, cwd: '/' };
  const version = await runCommand(
    'python3',
    ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'],
    options,
  );
  if (version.status !== 0) {
    const why =
      version.status === undefined ? 'none' : `one that fails (${version.stderr.trim().split('\n').at(-1)})`;
    throw new SetupError(
      'ERR_SETUP_NO_PYTHON',
      `expected a python3 on PATH to fetch libtorch with, got ${why}. Install Python 3.10 or newer. ${OTHER_WAYS}`,
    );
  }
  const python = { version: version.stdout.trim(), command: 'python3' };
  if ((await runCommand('python3', ['-m', 'pip', '--version'], options)).status === 0) return python;
  const venv = join(folder, 'venv');
  await runCommand('python3', ['-m', 'venv', venv], options);
  const command = join(venv, 'bin', 'python');
  if (existsSync(command) && (await runCommand(command, ['-m', 'pip', '--version'], options)).status === 0) {
    return { ...python, command };
  }
  throw new SetupError(
    'ERR_SETUP_NO_PIP',
    `the python3 on PATH (${python.version}) has neither pip nor ensurepip, so nothing can fetch libtorch. On Debian and Ubuntu install python3-pip or python3-venv; ` +
      `elsewhere run "python3 -m ensurepip". ${OTHER_WAYS}`,
  );
}

function tooLarge(words) {
  return new SetupError(
    'ERR_SETUP_WHEEL_TOO_LARGE',
    `${words}: that is a build for a GPU, which needs gigabytes of further packages. ${CPU_INDEX} ${OTHER_WAYS}`,
  );
}

/** The error for a wheel that turned out to be built for a GPU although it was small. */
export function gpuWheel(detail) {
  return tooLarge(detail);
}

function explain(result, python) {
  const text = `${result.stderr}\n${result.stdout}`;
  const last =
    text
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('ERROR'))
      .at(-1) ??
    text.trim().split('\n').at(-1) ??
    '';
  if (/DO NOT MATCH THE HASHES/.test(text)) {
    return new SetupError(
      'ERR_SETUP_CHECKSUM',
      'pip refused the wheel: its checksum is not the one that the package index lists. Run "npm run setup" again.',
    );
  }
  if (/No space left|Errno 28|Disk quota/.test(text)) {
    return new SetupError(
      'ERR_SETUP_NO_SPACE',
      `the disk filled up during the download (${last}). Make room, or let FREQFUSION_CACHE name a folder on another disk.`,
    );
  }
  const offline =
    /Retrying \(|NewConnectionError|Temporary failure in name resolution|ProxyError|SSLError/.test(text);
  if (/No matching distribution|Could not find a version/.test(text) && !offline) {
    return new SetupError(
      'ERR_SETUP_NO_WHEEL',
      `pip knows no wheel of torch ${PINNED_VERSION} for this platform (${process.platform} ${process.arch}) with Python ${python.version} or ${OTHER_PYTHON}. ${OTHER_WAYS}`,
    );
  }
  const hint = offline
    ? "The package index could not be reached: check the network, the proxy and pip's settings."
    : 'Run "npm run setup" again.';
  return new SetupError(
    'ERR_SETUP_DOWNLOAD',
    `pip could not download torch ${PINNED_VERSION}: ${last}. ${hint} ${OTHER_WAYS}`,
  );
}

function bytesBelow(folder) {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.whl')) continue;
    try {
      bytes = Math.max(bytes, statSync(join(entry.parentPath ?? entry.path, entry.name)).size);
    } catch {
      // pip moved it in between.
    }
  }
  return bytes;
}

function showProgress(folder, size) {
  if (!process.stderr.isTTY || size === undefined) return () => {};
  const timer = setInterval(() => {
    const percent = Math.min(100, Math.round((bytesBelow(folder) / 1e6 / size) * 100));
    process.stderr.write(`\r  ${percent} % of ${Math.round(size)} MB`);
  }, 500);
  return () => {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  };
}

async function pipDownload(python, folder, extra, { env, log }) {
  let size;
  let endProgress = () => {};
  const onLine = (line) => {
    const match = /Downloading \S*torch-\S+\.whl.*\(([\d.]+) (bytes|kB|MB|GB)\)/.exec(line);
    if (match === null || size !== undefined) return true;
    size = Number(match[1]) * UNITS[match[2]];
    log(`downloading torch ${PINNED_VERSION}: ${Math.round(size)} MB`);
    if (size > LARGEST_CPU_WHEEL_MB) return false;
    endProgress = showProgress(folder, size);
    return true;
  };
  const args = [
    '-m',
    'pip',
    'download',
    `torch==${PINNED_VERSION}`,
    '--no-deps',
    '--only-binary=:all:',
    '--dest',
    folder,
  ];
  // pip unpacks into TMPDIR, which is often a small disk in memory.
  const result = await runCommand(python.command, [...args, ...extra], {
    env: { ...env, TMPDIR: folder },
    cwd: '/',
    onLine,
  });
  endProgress();
  if (result.stopped) {
    throw tooLarge(
      `pip offers a wheel of ${Math.round(size)} MB for torch ${PINNED_VERSION}, more than the ${LARGEST_CPU_WHEEL_MB} MB that a CPU build may have`,
    );
  }
  return result;
}

/** Downloads the pinned wheel with pip into a folder; resolves to its path. */
export async function downloadWheel(python, folder, { env, log }) {
  let result = await pipDownload(python, folder, [], { env, log });
  if (result.status !== 0 && explain(result, python).code === 'ERR_SETUP_NO_WHEEL') {
    log(
      `no wheel for Python ${python.version}: trying that of Python ${OTHER_PYTHON}, whose libraries are the same`,
    );
    const other = await pipDownload(python, folder, ['--python-version', OTHER_PYTHON], { env, log });
    if (other.status === 0) result = other;
  }
  if (result.status !== 0) throw explain(result, python);
  const name = readdirSync(folder).find((file) => /^torch-.*\.whl$/.test(file));
  if (name === undefined) {
    throw new SetupError(
      'ERR_SETUP_DOWNLOAD',
      `pip reported success and left no wheel of torch in ${folder}. Run "npm run setup" again.`,
    );
  }
  return join(folder, name);
}
