import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { InferenceServer } from '../../lib/server/server';
import { send, textOf, withServer } from './run';

const KEY = 'a-key-of-some-length';

describe('a running server', () => {
  test('lives, is ready, and says so without being asked for a key', async () => {
    await withServer({ apiKeys: [KEY] }, async ({ url }) => {
      expect(await (await fetch(`${url}/v2/health/live`)).json()).toEqual({ live: true });
      expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true });
    });
  });

  test('words errors of paths and methods as every other, URLs and all', async () => {
    await withServer({}, async ({ url }) => {
      const missing = await fetch(`${url}/some/where?q=1`, { headers: { 'x-request-id': 'abc-1' } });
      expect([missing.status, missing.headers.get('x-request-id')]).toEqual([404, 'abc-1']);
      expect(await missing.json()).toEqual({
        error: 'there is nothing at GET /some/where',
        code: 'ERR_NOT_FOUND',
        requestId: 'abc-1',
      });
      const method = await fetch(`${url}/v2/health/live`, { method: 'DELETE' });
      expect([method.status, method.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
      expect(await method.json()).toMatchObject({
        error: 'expected one of GET, HEAD for /v2/health/live, got DELETE',
        code: 'ERR_METHOD',
      });
    });
  });

  test('makes up an id where the given one could forge a line of the log', async () => {
    await withServer({}, async ({ url }) => {
      const { headers } = await fetch(`${url}/v2/health/live`, { headers: { 'x-request-id': 'a b"c' } });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    });
  });

  test('logs one line a request, with neither key nor query', async () => {
    await withServer({ apiKeys: [KEY] }, async ({ url, lines }) => {
      await fetch(`${url}/openapi.json?x=y`, { headers: { authorization: `Bearer ${KEY}` } });
      await fetch(`${url}/openapi.json`);
      const requests = lines().filter(({ msg }) => msg === 'request');
      expect(requests).toMatchObject([
        {
          method: 'GET',
          route: '/openapi.json',
          status: 200,
          ms: expect.any(Number),
          id: expect.any(String),
        },
        { method: 'GET', route: '/openapi.json', status: 401 },
      ]);
      expect(JSON.stringify(lines())).not.toMatch(`${KEY}|x=y`);
    });
  });

  test('describes itself', async () => {
    await withServer({}, async ({ url }) => {
      const answer = await fetch(`${url}/openapi.json`);
      const document = (await answer.json()) as { paths: object };
      const { version } = require('../../package.json') as { version: string };
      expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'freqfusion', version } });
      expect(Object.keys(document.paths)).toEqual(
        expect.arrayContaining(['/v2/health/live', '/v2/health/ready', '/metrics']),
      );
    });
  });
});

describe('API keys', () => {
  test.each<[string, Record<string, string>, number]>([
    ['no key', {}, 401],
    ['a wrong key', { authorization: `Bearer ${KEY}x` }, 401],
    ['another scheme', { authorization: `Basic ${KEY}` }, 401],
    ['the key', { authorization: `Bearer ${KEY}` }, 200],
    ['the key in X-API-Key', { 'x-api-key': KEY }, 200],
  ])('%s', async (_, headers, status) => {
    await withServer({ apiKeys: ['another-key-of-length', KEY] }, async ({ url }) => {
      const answer = await fetch(`${url}/metrics`, { headers });
      expect(answer.status).toBe(status);
      if (status === 401) {
        expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="freqfusion"');
        expect(await answer.json()).toMatchObject({ code: 'ERR_UNAUTHORIZED', expected: 'an API key' });
        // Who has no key does not learn what there is.
        expect((await fetch(`${url}/nothing`, { headers })).status).toBe(401);
      }
    });
  });
});

describe('browsers', () => {
  test('may run what the server itself sends, and nothing else', async () => {
    await withServer({}, async ({ url }) => {
      const { headers } = await fetch(`${url}/v2/health/live`);
      expect(headers.get('content-security-policy')?.split(';').sort()).toEqual([
        "base-uri 'none'",
        "connect-src 'self'",
        "default-src 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "img-src 'self' blob: data:",
        "script-src 'self'",
        "style-src 'self'",
      ]);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('access-control-allow-origin')).toBeNull();
    });
  });

  test('of a named origin may call, also where keys are asked for', async () => {
    const origin = 'https://example.org';
    await withServer({ cors: [origin], apiKeys: [KEY] }, async ({ url }) => {
      const preflight = await fetch(`${url}/metrics`, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
      expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin]);
      const other = await fetch(`${url}/v2/health/live`, { headers: { origin: 'https://example.com' } });
      expect(other.headers.get('access-control-allow-origin')).not.toBe('https://example.com');
    });
  });
});

describe('limits', () => {
  test('a server short of memory refuses work before its body is read, and nothing else', async () => {
    const before = async (server: InferenceServer) => {
      const app = await server.app;
      app.post('/work', { config: { guarded: true } }, async () => ({}));
    };
    await withServer(
      { maxMemory: 1 },
      async ({ port, url }) => {
        expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
        const head = 'POST /work HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';
        const socket = send(port, `${head}content-length: 1000\r\n\r\n`);
        const [answer] = await once(socket, 'data');
        socket.destroy();
        expect(String(answer)).toMatch(/^HTTP\/1\.1 503 .*\r\nretry-after: 5\r\n.*"ERR_OVERLOADED"/s);
      },
      { before },
    );
  });

  test('slow headers and slow bodies get 408, and their connection is closed', async () => {
    await withServer({ bodyTimeout: 300, admin: true }, async ({ port, lines }) => {
      const head = 'POST /v2/repository/index HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n';
      const sockets = [
        send(port, 'GET /v2/health/live HTTP/1.1\r\nhost'),
        send(port, `${head}content-length: 20\r\n\r\n{"re`),
      ];
      for (const text of await Promise.all(sockets.map(textOf))) {
        expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
        expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ code: 'ERR_REQUEST_TIMEOUT' });
      }
      await delay(50);
      expect(lines().filter(({ code }) => code === 'ERR_REQUEST_TIMEOUT')).toHaveLength(2);
    });
  });

  test('a body that is too large gets 413, whether it says so or not', async () => {
    await withServer({ bodyLimit: 1024, admin: true }, async ({ url }) => {
      const headers = { 'content-type': 'application/json' };
      const target = `${url}/v2/repository/index`;
      const said = await fetch(target, { method: 'POST', headers, body: ' '.repeat(2000) });
      expect([said.status, await said.json()]).toMatchObject([413, { code: 'ERR_BODY_TOO_LARGE' }]);
      const stream = new Blob([' '.repeat(4000)]).stream();
      const unsaid = await fetch(target, { method: 'POST', headers, body: stream, duplex: 'half' } as never);
      expect([unsaid.status, await unsaid.json()]).toMatchObject([413, { code: 'ERR_BODY_TOO_LARGE' }]);
    });
  });

  test('what is no HTTP gets 400', async () => {
    await withServer({}, async ({ port }) => {
      const text = await textOf(send(port, 'hello\r\n\r\n'));
      expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      expect(JSON.parse(text.split('\r\n\r\n')[1]!)).toMatchObject({ code: 'ERR_REQUEST' });
    });
  });

  test('connections beyond the limit are closed and counted', async () => {
    await withServer({ maxConnections: 2 }, async ({ port, server }) => {
      const ask = 'GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n';
      const first = [send(port, ask), send(port, ask)];
      await Promise.all(first.map((socket) => new Promise((resolve) => socket.once('data', resolve))));
      expect(await textOf(send(port, ask))).toBe('');
      expect((await server.metrics.dropped.get()).values[0]?.value).toBe(1);
      for (const socket of first) socket.destroy();
    });
  });
});
