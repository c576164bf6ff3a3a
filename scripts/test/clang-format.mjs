import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runAttached, runCommand } from '../libtorch/process.mjs';

/** Other versions format the same file differently. */
export const VERSION = 19;

function nativeFiles(root) {
  return ['native', join('test', 'native')]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)),
    )
    .filter((name) => /\.(h|cc|cpp|cu)$/.test(name))
    .sort();
}

/** The command for clang-format of the wanted version: {command} or {reason}. */
async function findClangFormat() {
  const python = process.env.FREQFUSION_PYTHON;
  const beside = python === undefined ? [] : [join(dirname(python), 'clang-format')].filter(existsSync);
  const seen = [];
  for (const command of [`clang-format-${VERSION}`, 'clang-format', ...beside]) {
    const { status, stdout } = await runCommand(command, ['--version']);
    const version = status === 0 ? /version (\d+)/.exec(stdout)?.[1] : undefined;
    if (Number(version) === VERSION) return { command };
    if (version !== undefined) seen.push(version);
  }
  const got = seen.length > 0 ? `version ${seen.join(', ')}` : 'none';
  return {
    reason: `clang-format: expected version ${VERSION} on PATH, got ${got} (pip install clang-format==19.1.7)`,
  };
}

/** Checks (or with write, mends) the format of every C++ file. */
export async function clangFormat(root, write) {
  const { command, reason } = await findClangFormat();
  if (command === undefined) return { skipped: [reason] };
  const mode = write ? ['-i'] : ['--dry-run', '--Werror'];
  const status = await runAttached(command, [...mode, ...nativeFiles(root)], { cwd: root });
  return status === 0 ? { passed: 1 } : { failed: 1 };
}
