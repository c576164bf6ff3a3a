import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import sharp from 'sharp';
import { type CliRun, cli, ROOT } from '../cli/run';

const { command } = require('../../scripts/test/redis-server.cjs') as { command: string };

const MAIN = join(ROOT, 'dist', 'cli', 'main.js');
const PAGES = join(ROOT, 'models', 'layout', 'val');

/** A redis-server of a test's own, on a free port and in a fresh folder. */
export class RedisServer {
  #process: ChildProcess | undefined;

  private constructor(
    readonly folder: string,
    readonly port: number,
    readonly settings: readonly string[],
  ) {}

  static async start(
    settings: readonly string[] = ['--save', '', '--appendonly', 'no'],
  ): Promise<RedisServer> {
    const server = new RedisServer(
      mkdtempSync(join(tmpdir(), 'freqfusion-redis-')),
      await freePort(),
      settings,
    );
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, again where it was stopped, and waits until it answers. */
  async run(): Promise<void> {
    const place = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder];
    this.#process = spawn(command, [...place, ...this.settings], { stdio: 'ignore' });
    await until(async () => {
      const redis = new Redis(this.url, { lazyConnect: true, retryStrategy: () => null });
      redis.on('error', () => {});
      try {
        await redis.connect();
        return (await redis.ping()) === 'PONG';
      } catch {
        return false;
      } finally {
        redis.disconnect();
      }
    });
  }

  /** Ends it, as a restart of the machine would. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Asks it something. */
  async ask<T>(question: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.url);
    try {
      return await question(redis);
    } finally {
      redis.disconnect();
    }
  }

  /** Runs `freqfusion jobs ...` on this server. */
  jobs(...args: string[]): Promise<CliRun> {
    return cli(['jobs', ...args], { env: { FREQFUSION_REDIS: this.url } });
  }
}

/** Locks as short as a test can wait for, of workers that are to die. */
export const QUICK = ['--lock', '3', '--stalled', '1'];

/** A worker process. */
export class WorkerProcess {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  /** The exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;

  constructor(server: RedisServer, ...args: string[]) {
    this.child = spawn(process.execPath, [MAIN, 'jobs', 'work', ...args], {
      cwd: ROOT,
      env: { ...process.env, FREQFUSION_REDIS: server.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout!.on('data', (text) => {
      this.stdout += text;
    });
    this.child.stderr!.on('data', (text) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
  }

  /** Images that it says it has done. */
  get done(): number {
    return this.stdout.split('\n').filter((line) => line.includes(' -> ')).length;
  }

  /** Waits until it has said that images are done. */
  async hasDone(count: number): Promise<void> {
    await until(async () => this.done >= count);
  }

  /** Waits for words on its standard error. */
  async says(words: string): Promise<void> {
    await until(async () => this.stderr.includes(words));
  }
}

/** Waits for something that comes true; a test that waits in vain ends by its own time limit. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Writes small copies of bundled pages, all of them different, into a folder; resolves to their names. */
export async function makePages(folder: string, count: number, width = 128): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const pages = readdirSync(PAGES)
    .filter((name) => /^page_\d+\.png$/.test(name))
    .sort();
  const names = Array.from({ length: count }, (_, i) => `p${String(i).padStart(2, '0')}.png`);
  for (const [i, name] of names.entries()) {
    const page = sharp(join(PAGES, pages[i % pages.length]!)).resize({ width });
    await page.modulate({ brightness: 1 - 0.02 * Math.floor(i / pages.length) }).toFile(join(folder, name));
  }
  return names;
}

/** The bytes of every file of a folder, hidden ones too, by name. */
export function filesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name)).toString('base64')]));
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
