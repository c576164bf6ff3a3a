import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const MAIN = join(__dirname, '../../dist/cli/main.js');

/** A `freqfusion serve` in a process of its own. */
export interface ChildServer {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it wrote to standard output and error so far. */
  readonly output: () => string;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts `freqfusion serve`, waits until it is ready, and kills what is left of it after the work. */
export async function withChildServer(
  args: readonly string[],
  work: (server: ChildServer) => Promise<void>,
  { stdout = 'pipe' }: { stdout?: number | 'pipe' } = {},
): Promise<void> {
  const port = await freePort();
  const child = spawn(process.execPath, [MAIN, 'serve', '--port', String(port), ...args], {
    stdio: ['ignore', stdout, 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += String(chunk)));
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const server = { child, url: `http://127.0.0.1:${port}`, output: () => text, ended };
  try {
    await ready(server);
    await work(server);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

async function ready({ url, ended, output }: ChildServer): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  for (let i = 0; i < 600 && !over; i += 1) {
    const answer = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    await sleep(50);
  }
  throw new Error(`the server did not get ready:\n${output()}`);
}
