import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cli, inFolder, ROOT } from './run';
import { startServing, whileServing } from './serving';

const KEY = 'a-key-of-some-length';

/** Writes a config with the bundled page model, and what else the server part says. */
function writeConfig(folder: string, server: object = {}, model: object = {}): string {
  const path = join(folder, 'server.json');
  const models = [{ name: 'layout', task: 'segment', ...model }];
  writeFileSync(path, JSON.stringify({ server, models }));
  return path;
}

describe('freqfusion serve', () => {
  it('serves the bundled models, logs where, and ends with 0 at SIGTERM', async () => {
    const serving = startServing([]);
    const url = await serving.url;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true });
    serving.child.kill('SIGTERM');
    expect(await serving.ended).toEqual([0, null]);
    expect(serving.lines().map(({ msg }) => msg)).toEqual([
      expect.stringMatching(/^listening at /),
      'ready',
      'shutting down',
      'stopped',
    ]);
    expect(serving.lines()[1]).toMatchObject({ models: ['layout', 'shapes'] });
    expect(serving.stderr()).toBe('');
  });

  it('ends at once at a second signal', async () => {
    await inFolder(async (folder) => {
      const serving = startServing(['--config', writeConfig(folder, { drainDelay: 60_000 })]);
      await serving.url;
      serving.child.kill('SIGINT');
      while (!serving.lines().some(({ msg }) => msg === 'shutting down')) await delay(10);
      serving.child.kill('SIGINT');
      expect(await serving.ended).toEqual([130, null]);
    });
  });

  it('takes keys from the environment', async () => {
    await inFolder(async (folder) => {
      await whileServing(
        ['--config', writeConfig(folder)],
        async (_, url) => {
          expect((await fetch(`${url}/metrics`)).status).toBe(401);
          const headers = { authorization: `Bearer ${KEY}` };
          expect((await fetch(`${url}/metrics`, { headers })).status).toBe(200);
        },
        { FREQFUSION_API_KEYS: KEY },
      );
    });
  });

  it('ends with 3 and one line where the config is wrong', async () => {
    await inFolder(async (folder) => {
      const { code, stderr } = await cli(['serve', '--config', writeConfig(folder, { prt: 1 })]);
      expect(stderr).toMatch(
        /^error: .*server\.json:1:12: server\.prt is no member.*\[ERR_SERVER_CONFIG\]\n$/,
      );
      expect(code).toBe(3);
    });
  });

  it.each([[[]], [['--workers', '2']]])(
    'ends with 3 and one line where a model cannot be loaded (%j)',
    async (args) => {
      await inFolder(async (folder) => {
        const path = writeConfig(folder, {}, { checkpoint: 'none.pth' });
        const { code, stderr } = await cli(['serve', '--port', '0', '--config', path, ...args]);
        expect(stderr).toMatch(
          /^error: model layout cannot be loaded: [^\n]*none\.pth[^\n]*\[ERR_MODEL_LOAD\]\n$/,
        );
        expect(code).toBe(3);
      });
    },
  );

  it('ends with 5 and one line where the port is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await cli(['serve', '--port', String(port)]);
    expect(stderr).toBe(
      `error: cannot listen on 127.0.0.1:${port}: EADDRINUSE. Another --port, or --port 0 for any that is free. [ERR_LISTEN]\n`,
    );
    expect(code).toBe(5);
    taken.close();
  });

  it('is not loaded by any other verb, nor by the library', async () => {
    const script = `
      require('${join(ROOT, 'dist', 'index.js')}');
      require('${join(ROOT, 'dist', 'cli', 'program.js')}').makeProgram();
      const names = /node_modules.(fastify|@fastify|pino|prom-client|@grpc|bullmq)/;
      console.log(JSON.stringify(Object.keys(require.cache).filter((name) => names.test(name))));`;
    const { execFileSync } = require('node:child_process') as typeof import('node:child_process');
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('[]\n');
  });
});

describe('freqfusion serve --workers', () => {
  /** A counter of the metrics, all its labels summed. */
  const countOf = (text: string, name: string) =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    );
  /** A request on a connection of its own, so that the workers share them. */
  const ask = (url: string, path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, { ...init, headers: { connection: 'close' } });

  it('sums the metrics of all, and loads and unloads in all', async () => {
    await inFolder(async (folder) => {
      await whileServing(
        ['--config', writeConfig(folder, { admin: true }), '--workers', '2'],
        async ({ lines }, url) => {
          expect(new Set(lines().map(({ worker }) => worker))).toEqual(new Set([undefined, 0, 1]));
          for (let i = 0; i < 10; i += 1) await (await ask(url, '/v2/health/live')).text();
          const text = await (await ask(url, '/metrics')).text();
          const live = /^freqfusion_requests_total\{[^}]*health\/live[^}]*\} (\d+)$/m.exec(text)?.[1];
          expect(live).toBe('10');
          expect(countOf(text, 'freqfusion_model_ready')).toBe(1);
          await ask(url, '/v2/repository/models/layout/unload', { method: 'POST' });
          for (let i = 0; i < 4; i += 1) {
            const index = await ask(url, '/v2/repository/index', { method: 'POST' });
            expect(await index.json()).toMatchObject([{ state: 'UNAVAILABLE' }]);
          }
          const unknown = await ask(url, '/v2/repository/models/none/load', { method: 'POST' });
          expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: 'ERR_MODEL_UNKNOWN' }]);
        },
      );
    });
  });

  it('goes on when a worker is killed, and replaces it', async () => {
    await inFolder(async (folder) => {
      const serving = startServing(['--config', writeConfig(folder), '--workers', '2']);
      const url = await serving.url;
      const pidOf = (worker: number) =>
        serving
          .lines()
          .filter((line) => line.worker === worker && /^listening/.test(String(line.msg)))
          .at(-1)?.pid;
      const first = Number(pidOf(0));
      process.kill(first, 'SIGKILL');
      let answered = 0;
      while (pidOf(0) === first) {
        // A connection that the dead worker had been given may be reset; every other is answered.
        const answer = await ask(url, '/v2/health/ready').catch(() => undefined);
        if (answer !== undefined) {
          expect(await answer.json()).toEqual({ ready: true });
          answered += 1;
        }
        await delay(10);
      }
      expect(answered).toBeGreaterThan(1);
      expect(serving.lines().find(({ msg }) => msg === 'a worker died')).toMatchObject({
        worker: 0,
        pid: first,
        signal: 'SIGKILL',
      });
      serving.child.kill('SIGTERM');
      expect(await serving.ended).toEqual([0, null]);
      expect(serving.lines().filter(({ msg }) => msg === 'stopped')).toHaveLength(3);
    });
  });

  it('ends its workers when the first process is killed', async () => {
    await inFolder(async (folder) => {
      const serving = startServing(['--config', writeConfig(folder), '--workers', '2']);
      const url = await serving.url;
      serving.child.kill('SIGKILL');
      // The pipe closes when the last of them has ended.
      expect(await serving.ended).toEqual([null, 'SIGKILL']);
      await expect(fetch(url)).rejects.toThrow('fetch failed');
    });
  });
});
