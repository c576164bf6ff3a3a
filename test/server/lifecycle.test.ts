import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { defaultServeConfig } from '../../lib/server/config-file';
import { InferenceServer } from '../../lib/server/server';
import { ticketOf } from '../../lib/server/ticket';
import { send, textOf, withServer } from './run';

const BUNDLED = join(__dirname, '..', '..', 'models', 'layout');
const GREY = { data: new Uint8Array(64 * 64 * 3).fill(128), width: 64, height: 64, channels: 3 as const };

/** Adds `POST /work`, which segments a grey image, and `POST /wait`, which is answered when the test says so. */
async function addWork(server: InferenceServer, waiting: Promise<void> = Promise.resolve()): Promise<void> {
  const app = await server.app;
  app.post('/work', async (request, reply) => {
    const ticket = ticketOf(request, reply, {}, GREY.data.byteLength);
    const model = server.models.segmenter();
    const { result } = await model.predict(GREY, {}, ticket);
    const { width } = result.result;
    model.free(result.result);
    return { width };
  });
  app.post('/wait', async () => {
    await waiting;
    return { waited: true };
  });
}

const post = async (url: string) => {
  const answer = await fetch(url, { method: 'POST' });
  return [answer.status, await answer.json(), answer.headers.get('connection')];
};

describe('a shutdown', () => {
  test('says no to load balancers first, then answers what it has, then refuses', async () => {
    let release: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    await withServer(
      { drainDelay: 2000 },
      async ({ server, url, port }) => {
        const inFlight = post(`${url}/wait`);
        const busy = send(port, 'POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n');
        await delay(200);
        const closed = server.close();
        // Draining: not ready, still taking requests.
        expect((await fetch(`${url}/v2/health/ready`)).status).toBe(503);
        expect(await post(`${url}/work`)).toEqual([200, { width: 64 }, 'close']);
        await delay(2100);
        await expect(fetch(`${url}/v2/health/live`)).rejects.toThrow('fetch failed');
        release();
        expect(await inFlight).toEqual([200, { waited: true }, 'close']);
        expect(await textOf(busy)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
        await closed;
        expect(server.models.list().map(({ state }) => state)).toEqual(['unloaded']);
      },
      { before: (server) => addWork(server, waiting) },
    );
  });

  test('rejects after its time what is still not done', async () => {
    await withServer(
      { shutdownTimeout: 100 },
      async ({ server, url }) => {
        const model = server.models.segmenter();
        const answers = Array.from({ length: 3 }, () => post(`${url}/work`));
        while (model.load.waiting < 3) await delay(1);
        await server.close();
        for (const answer of await Promise.all(answers)) {
          expect(answer).toMatchObject([503, { code: 'ERR_SHUTTING_DOWN' }, 'close']);
        }
      },
      {
        before: addWork,
        models: [{ name: 'slow', task: 'segment', batch: { size: 256, delay: 10_000 } }],
      },
    );
  });

  test('does not wait for connections on which nothing happens, nor for ever for half a request', async () => {
    await withServer({ shutdownTimeout: 100 }, async ({ server, port }) => {
      const idle = send(port, 'GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n');
      const half = send(port, 'POST /v2/health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n1');
      await delay(50);
      await server.close();
      expect(await textOf(idle)).toMatch(/^HTTP\/1\.1 200/);
      await textOf(half);
    });
  });
});

describe('a start', () => {
  const quiet = { log: pino({ level: 'silent' }) };

  test('that cannot listen says where', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await delay(20);
    const { port } = taken.address() as { port: number };
    const server = new InferenceServer(defaultServeConfig({ server: { port } }, {}), quiet);
    await expect(server.start()).rejects.toMatchObject({
      code: 'ERR_LISTEN',
      message: `cannot listen on 127.0.0.1:${port}: EADDRINUSE`,
    });
    taken.close();
  });

  test.each([false, true])(
    'with a model that cannot be loaded closes again (loadFirst: %p)',
    async (loadFirst) => {
      const models = [{ name: 'gone', task: 'segment' as const, checkpoint: '/nonexistent/model.pth' }];
      const server = new InferenceServer(defaultServeConfig({ server: { port: 0 }, models }, {}), quiet);
      await expect(server.start({ loadFirst })).rejects.toMatchObject({
        code: 'ERR_MODEL_LOAD',
        message: expect.stringMatching(/^model gone cannot be loaded: /),
      });
      expect((await server.app).server.listening).toBe(false);
    },
  );

  test('that is interrupted ends, and leaves nothing behind', async () => {
    const server = new InferenceServer(defaultServeConfig({ server: { port: 0 } }, {}), quiet);
    const started = server.start().catch((error: { code: string }) => error.code);
    await server.close();
    expect(await started).toBe('ERR_SHUTTING_DOWN');
    expect((await server.app).server.listening).toBe(false);
    expect(server.models.list().map(({ state }) => state)).toEqual(['unloaded', 'unloaded']);
  });
});

describe('the model repository', () => {
  let folder: string;
  const checkpoint = () => join(folder, 'layout_segnext_nano_freqfusion.pth');
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'freqfusion-repository-'));
    cpSync(BUNDLED, folder, { recursive: true, filter: (path) => !/val(\/|$)/.test(path) });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const index = async (url: string) => (await post(`${url}/v2/repository/index`))[1];

  test('is not there unless the config says so', async () => {
    await withServer({}, async ({ url }) => {
      expect(await post(`${url}/v2/repository/index`)).toMatchObject([
        404,
        { code: 'ERR_NOT_FOUND' },
        'keep-alive',
      ]);
    });
  });

  test('keeps the old model where the new one cannot be loaded, and tells no path', async () => {
    const models = [{ name: 'layout', task: 'segment' as const, checkpoint: checkpoint() }];
    await withServer(
      { admin: true },
      async ({ url }) => {
        writeFileSync(checkpoint(), 'no checkpoint');
        const [status, body] = await post(`${url}/v2/repository/models/layout/load`);
        expect([status, body]).toMatchObject([422, { code: 'ERR_MODEL_LOAD' }]);
        expect(JSON.stringify(body)).not.toContain(folder);
        expect(await index(url)).toEqual([{ name: 'layout', version: '1', state: 'READY', reason: '' }]);
        expect(await post(`${url}/work`)).toMatchObject([200, { width: 64 }, 'keep-alive']);
        cpSync(join(BUNDLED, 'layout_segnext_nano_freqfusion.pth'), checkpoint());
        expect(await post(`${url}/v2/repository/models/layout/load`)).toMatchObject([200, {}, 'keep-alive']);
      },
      { models, before: addWork },
    );
  });

  test('unloads a model after what it has taken, and loads it again', async () => {
    await withServer(
      { admin: true },
      async ({ server, url }) => {
        const taken = post(`${url}/work`);
        while (server.models.segmenter().load.waiting === 0) await delay(1);
        expect(await post(`${url}/v2/repository/models/layout/unload`)).toMatchObject([
          200,
          {},
          'keep-alive',
        ]);
        expect(await taken).toMatchObject([200, { width: 64 }, 'keep-alive']);
        expect(await index(url)).toMatchObject([{ state: 'UNAVAILABLE', reason: 'unloaded' }]);
        expect(await post(`${url}/work`)).toMatchObject([503, { code: 'ERR_MODEL_NOT_READY' }, 'keep-alive']);
        // The others are not to suffer for what was asked for.
        expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
        await post(`${url}/v2/repository/models/layout/load`);
        expect(await post(`${url}/work`)).toMatchObject([200, { width: 64 }, 'keep-alive']);
      },
      {
        models: [{ name: 'layout', task: 'segment', batch: { size: 2, delay: 200 } }],
        before: addWork,
      },
    );
  });

  test('names the nearest model', async () => {
    await withServer({ admin: true }, async ({ url }) => {
      expect(await post(`${url}/v2/repository/models/layot/load`)).toMatchObject([
        404,
        { code: 'ERR_MODEL_UNKNOWN', error: expect.stringContaining('the nearest is layout') },
        'keep-alive',
      ]);
    });
  });

  test('replaces a model under load without a wrong answer', async () => {
    await withServer(
      { admin: true },
      async ({ url }) => {
        let going = true;
        const statuses = new Set<unknown>();
        const clients = Array.from({ length: 4 }, async () => {
          while (going) statuses.add((await post(`${url}/work`))[0]);
        });
        for (let i = 0; i < 3; i += 1) await post(`${url}/v2/repository/models/layout/load`);
        going = false;
        await Promise.all(clients);
        expect([...statuses]).toEqual([200]);
      },
      { before: addWork },
    );
  });
});
