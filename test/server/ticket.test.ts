import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { REQUEST_TIMEOUT, type TicketOptions, ticketOf } from '../../lib/server/ticket';

type Given = ReturnType<typeof ticketOf>;

let app: FastifyInstance;
let asked: TicketOptions;
/** Resolves with the ticket of the next request, which is answered when `answer` is called. */
let arrived: Promise<Given>;
let answer: () => void;

beforeEach(async () => {
  asked = {};
  app = fastify();
  app.decorate(REQUEST_TIMEOUT, 1000);
  (app.server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
  let arrive: (ticket: Given) => void;
  arrived = new Promise((resolve) => {
    arrive = resolve;
  });
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  app.get('/', async (request, reply) => {
    arrive(ticketOf(request, reply, asked, 7));
    await answered;
    return { done: true };
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  answer();
  await app.close();
});

const port = () => (app.server.address() as AddressInfo).port;

function open(): Socket {
  const socket = connect({ port: port(), allowHalfOpen: true });
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  return socket;
}

async function textOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test.each<[TicketOptions, number]>([
  [{}, 1000],
  [{ timeout: 200 }, 200],
  [{ timeout: 5000 }, 1000],
])('%j gives a timeout of %i ms', async (options, timeout) => {
  asked = options;
  answer();
  await fetch(`http://127.0.0.1:${port()}/`);
  expect(await arrived).toMatchObject({ timeout, bytes: 7 });
});

test('the signal stays as it is where the answer is written', async () => {
  asked = { priority: 'high' };
  answer();
  expect((await fetch(`http://127.0.0.1:${port()}/`)).status).toBe(200);
  const { priority, signal } = await arrived;
  expect([priority, signal!.aborted]).toEqual(['high', false]);
});

test.each<[string, (socket: Socket) => void]>([
  ['closes the connection', (socket) => socket.destroy()],
  ['resets the connection', (socket) => socket.resetAndDestroy()],
])('the signal fires when a client %s', async (_, leave) => {
  const socket = open();
  const { signal } = await arrived;
  leave(socket);
  if (!signal!.aborted) await once(signal!, 'abort');
  expect(signal!.aborted).toBe(true);
});

test('a client that closes its half alone gets its answer', async () => {
  const socket = open();
  const { signal } = await arrived;
  const text = textOf(socket);
  socket.end();
  await once(socket, 'finish');
  // Long enough for several questions whether it is still there.
  await new Promise((resolve) => setTimeout(resolve, 500));
  answer();
  const lines = (await text).split('\r\n');
  expect(lines.filter((line) => line.startsWith('HTTP/1.1')).at(-1)).toBe('HTTP/1.1 200 OK');
  expect(lines.at(-1)).toBe('{"done":true}');
  expect(signal!.aborted).toBe(false);
});
