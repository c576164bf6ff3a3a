import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** How a child process ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

/** Runs a file of fixtures/ on the compiled package and waits for its end. */
export function runFixture(file: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Ending {
  const child = spawnSync(process.execPath, ['--expose-gc', join(__dirname, 'fixtures', file), ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 240_000,
  });
  return { code: child.status, signal: child.signal, output: `${child.stdout}${child.stderr}` };
}
