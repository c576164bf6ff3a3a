import { connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { PartialServeConfig } from '../../lib/server/config-file';
import { defaultServeConfig } from '../../lib/server/config-file';
import { InferenceServer, type ServerInit } from '../../lib/server/server';

/** A running server of a test. */
export interface Running {
  readonly server: InferenceServer;
  readonly url: string;
  readonly port: number;
  /** Port of gRPC, where the options have one. */
  readonly grpcPort: number | undefined;
  /** Lines of its log so far. */
  readonly lines: () => Record<string, unknown>[];
}

/** Starts a server with the bundled segmentation model on any free port, and closes it after the work. */
export async function withServer(
  options: PartialServeConfig['server'] & object,
  work: (running: Running) => Promise<void>,
  {
    models = [{ name: 'layout', task: 'segment' }],
    before = async () => {},
    ...init
  }: ServerInit & {
    models?: NonNullable<PartialServeConfig['models']>;
    /** Called before the server starts, to add routes to its app. */
    before?: (server: InferenceServer) => Promise<void>;
  } = {},
): Promise<void> {
  const text: string[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      text.push(String(chunk));
      done();
    },
  });
  const config = defaultServeConfig({ server: { port: 0, ...options }, models }, {});
  const server = new InferenceServer(config, { log: pino({ level: 'debug' }, sink), ...init });
  await before(server);
  const { url, grpcPort } = await server.start();
  try {
    const lines = () =>
      text
        .join('')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    await work({ server, url, port: Number(new URL(url).port), grpcPort, lines });
  } finally {
    await server.close({ timeout: 0, drainDelay: 0 });
  }
}

/** Opens a connection and sends a text as it stands. */
export function send(port: number, text: string): Socket {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.write(text);
  return socket;
}

/** Everything that a connection still brings, to its end. */
export function textOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    if (socket.closed) resolve(text);
    else socket.once('close', () => resolve(text));
  });
}
