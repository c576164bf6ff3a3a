import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The repository's own folder. */
export const ROOT = join(__dirname, '..', '..');

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function run(command: string, args: readonly string[], cwd = ROOT, env = process.env): CommandResult {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** Type-checks a project with the repository's own compiler; '' where all is well. */
export function typeCheck(project: string, cwd = ROOT): string {
  const tsc = require.resolve('typescript/bin/tsc');
  return run(process.execPath, [tsc, '--noEmit', '-p', project], cwd).stdout;
}

/** The files that git tracks, or will once they are added. */
export function trackedFiles(): string[] {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  return run('git', args)
    .stdout.split('\0')
    .filter((name) => name !== '');
}
