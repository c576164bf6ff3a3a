import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './places.mjs';

const PAGE_BYTES = 4096;
const TICKS = 100;

/** A port that nobody listens on now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A process and all that descend from it, from Linux's /proc. */
function family(pid) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const each = {
        pid: Number(name),
        ticks: Number(fields[11]) + Number(fields[12]),
        pages: Number(fields[21]),
      };
      const parent = Number(fields[1]);
      children.set(parent, [...(children.get(parent) ?? []), each]);
      if (each.pid === pid) children.set('itself', each);
    } catch {
      // It has ended meanwhile.
    }
  }
  const found = [];
  const visit = (each) => {
    found.push(each);
    for (const child of children.get(each.pid) ?? []) visit(child);
  };
  if (children.has('itself')) visit(children.get('itself'));
  return found;
}

/** A server in a process of its own, with what it takes of memory and processor. */
export class ServerProcess {
  #child;
  #probe;
  #lines = [];

  constructor({ command, env = {} }, port) {
    this.url = `http://127.0.0.1:${port}`;
    this.#probe = mkdtempSync(join(tmpdir(), 'freqfusion-serve-'));
    this.#child = spawn(command[0], command.slice(1), {
      cwd: ROOT,
      env: { ...process.env, ...env, FREQFUSION_BENCH_PROBE: this.#probe },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (chunk) => {
        this.#lines.push(String(chunk));
        if (this.#lines.length > 50) this.#lines.shift();
      });
    }
    this.ended = new Promise((resolve) =>
      this.#child.once('exit', (code, signal) => resolve(code ?? signal)),
    );
  }

  /** Resolves when it answers that it is ready. */
  async ready(seconds = 120) {
    let ended;
    this.ended.then((code) => {
      ended = code;
    });
    for (const end = Date.now() + 1000 * seconds; Date.now() < end; await sleep(100)) {
      if (ended !== undefined) throw new Error(`the server ended with ${ended}:\n${this.#lines.join('')}`);
      const answer = await fetch(`${this.url}/v2/health/ready`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok) return;
    }
    throw new Error(`the server was not ready within ${seconds} s:\n${this.#lines.join('')}`);
  }

  /** Resident bytes of it and its workers; what they share counts more than once. */
  residentBytes() {
    return family(this.#child.pid).reduce((sum, { pages }) => sum + pages * PAGE_BYTES, 0);
  }

  /** Seconds of processor that it and its workers have taken. */
  cpuSeconds() {
    return family(this.#child.pid).reduce((sum, { ticks }) => sum + ticks / TICKS, 0);
  }

  /** The delay of the event loop since the last call, in the worst of its processes; undefined without the probe. */
  async eventLoop() {
    const files = readdirSync(this.#probe).filter((name) => name.endsWith('.json'));
    const seen = [];
    for (const name of files) {
      const file = join(this.#probe, name);
      const before = statSync(file).ino;
      try {
        process.kill(Number.parseInt(name, 10), 'SIGUSR2');
      } catch {
        continue;
      }
      for (let i = 0; i < 200 && statSync(file).ino === before; i += 1) await sleep(10);
      seen.push(JSON.parse(readFileSync(file, 'utf8')));
    }
    return seen.sort((a, b) => b.p99 - a.p99)[0];
  }

  /** Ends it, gently first. */
  async stop() {
    this.#child.kill('SIGTERM');
    const gone = await Promise.race([this.ended.then(() => true), sleep(20_000).then(() => false)]);
    if (!gone) {
      for (const { pid } of family(this.#child.pid).reverse()) process.kill(pid, 'SIGKILL');
      await this.ended;
    }
    rmSync(this.#probe, { recursive: true, force: true });
  }
}
