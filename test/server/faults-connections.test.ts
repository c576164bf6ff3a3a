import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { held, type Page, post, samplePages, slowPage, until, untilIdle } from './faults-world';
import { send, textOf, withServer } from './run';

let page: Page;

beforeAll(async () => {
  [page] = (await samplePages(1)) as [Page];
});

/** The lines before a body of the page. */
function head(length = page.body.length): string {
  return (
    'POST /segment?view=labels HTTP/1.1\r\nhost: test\r\ncontent-type: image/png\r\n' +
    `content-length: ${length}\r\n\r\n`
  );
}

async function serves(url: string): Promise<void> {
  const { status, body } = await post(url, page.body);
  expect(status).toBe(200);
  expect(body.equals(page.labels)).toBe(true);
}

/** Everything that a connection brings, as bytes. */
async function bytesOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('clients that send a byte now and then get 408 and lose their connections; others are served meanwhile', async () => {
  await withServer({ bodyTimeout: 1500 }, async ({ server, url, port }) => {
    const before = held(server);
    const headers = Array.from({ length: 20 }, () => send(port, 'POST /segment HTTP/1.1\r\nhost: t'));
    const bodies = Array.from({ length: 20 }, () => send(port, head() + page.body.toString('latin1', 0, 8)));
    const all = [...headers, ...bodies];
    const dripping = setInterval(() => {
      for (const socket of all) if (socket.writable) socket.write('a');
    }, 100);
    try {
      const answers = Promise.all(all.map(textOf));
      await serves(url);
      for (const text of await answers) {
        expect(text).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
        expect(text).toContain('"code":"ERR_REQUEST_TIMEOUT"');
      }
      expect(all.every((socket) => socket.readableEnded || socket.destroyed)).toBe(true);
      await untilIdle(server, before);
      await serves(url);
    } finally {
      clearInterval(dripping);
      for (const socket of all) socket.destroy();
    }
  });
});

test('a client that closes its half of the connection still gets its answer', async () => {
  await withServer({}, async ({ server, port }) => {
    const before = held(server);
    const sockets = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        await once(socket, 'connect');
        socket.end(Buffer.concat([Buffer.from(head()), page.body]));
        return socket;
      }),
    );
    for (const bytes of await Promise.all(sockets.map(bytesOf))) {
      expect(bytes.toString('latin1')).toMatch(/(^|\r\n\r\n)HTTP\/1\.1 200 OK\r\n/);
      expect(bytes.subarray(-page.labels.length).equals(page.labels)).toBe(true);
    }
    await untilIdle(server, before);
  });
});

test('a thousand aborted requests leave nothing behind', async () => {
  await withServer({}, async ({ server, url, port }) => {
    await serves(url);
    const before = held(server);
    const whole = Buffer.concat([Buffer.from(head()), page.body]);
    const gone: Promise<unknown>[] = [];
    for (let i = 0; i < 1000; i += 1) {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => {});
      gone.push(once(socket, 'close'));
      // Before the headers end, within the body, at its end, and while the answer is computed.
      const length = [20, head().length + 1000, whole.length, whole.length][i % 4]!;
      socket.write(whole.subarray(0, length), () => {
        if (i % 4 === 3) setTimeout(() => socket.resetAndDestroy(), i % 40);
        else if (i % 2 === 0) socket.destroy();
        else socket.resetAndDestroy();
      });
      if (i % 50 === 49) await Promise.all(gone.splice(0));
      if (i % 250 === 0) await serves(url);
    }
    await Promise.all(gone);
    await untilIdle(server, before);
    await serves(url);
    expect(await connections(server.app)).toBe(0);
  });
});

test('the place in the queue of a client that hangs up is free for the next', async () => {
  const queue = { length: 1 };
  const models = [
    { name: 'layout', task: 'segment' as const, queue, batch: { size: 1, delay: 0 }, instances: 1 },
  ];
  await withServer(
    {},
    async ({ server, url, port }) => {
      const running = post(url, await slowPage(page));
      await until('one image in work', () => held(server).inFlight === 1);
      const waiting = send(port, head());
      waiting.write(page.body);
      await until('one image waits', () => held(server).waiting === 1);
      expect((await post(url, page.body)).status).toBe(429);
      waiting.resetAndDestroy();
      await until('its place is free', () => held(server).waiting === 0);
      // The first is in work yet: the next one took the place and not the turn of that which left.
      expect(held(server).inFlight).toBe(1);
      const [first, next] = await Promise.all([running, post(url, page.body)]);
      expect(first.status).toBe(200);
      expect(next.status).toBe(200);
      expect(next.body.equals(page.labels)).toBe(true);
    },
    { models },
  );
});

test('what is no HTTP is answered with 400, and the connection ends', async () => {
  await withServer({}, async ({ url, port }) => {
    const text = await textOf(send(port, '\u0016\u0003\u0001 not at all\r\n\r\n'));
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    await serves(url);
  });
});

/** Open connections of a server's app, once those that were closed have been noticed. */
async function connections(app: Promise<{ server: import('node:net').Server }>): Promise<number> {
  const { server } = await app;
  let open = 0;
  for (let i = 0; i < 50; i += 1) {
    open = await new Promise<number>((resolve, reject) =>
      server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
    if (open === 0) break;
    await sleep(20);
  }
  return open;
}
