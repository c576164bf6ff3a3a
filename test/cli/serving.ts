import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from './run';

/** A `freqfusion serve` in a process of its own. */
export interface Serving {
  readonly child: ChildProcess;
  /** Resolves with the URL once it is ready. */
  readonly url: Promise<string>;
  /** Lines of its log so far. */
  readonly lines: () => Record<string, unknown>[];
  readonly stderr: () => string;
  /** Resolves with its exit code and the signal that ended it. */
  readonly ended: Promise<[code: number | null, signal: string | null]>;
}

/** Starts `freqfusion serve` on any free port. The caller stops it. */
export function startServing(args: readonly string[], env: NodeJS.ProcessEnv = {}): Serving {
  const main = join(ROOT, 'dist', 'cli', 'main.js');
  const child = spawn(process.execPath, [main, 'serve', '--port', '0', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  const lines = () =>
    stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  const url = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk);
      const ready = lines().find(({ msg }) => msg === 'ready');
      if (ready !== undefined) resolve(String(ready.url));
    });
    void ended.then(() => reject(new Error(`ended before it was ready: ${stderr}`)));
  });
  url.catch(() => {});
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  return { child, url, lines, stderr: () => stderr, ended };
}

/** Runs a test with a server, and ends it whatever happens. */
export async function whileServing(
  args: readonly string[],
  work: (serving: Serving, url: string) => Promise<void>,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const serving = startServing(args, env);
  try {
    await work(serving, await serving.url);
  } finally {
    serving.child.kill('SIGTERM');
    const stubborn = setTimeout(() => serving.child.kill('SIGKILL'), 10_000);
    await serving.ended;
    clearTimeout(stubborn);
  }
}
