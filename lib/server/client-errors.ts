import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { ErrorCode } from '../errors';

/** What cannot be answered as a request, because it is none: by the code of Node's error. */
const ANSWERS: Readonly<Record<string, readonly [status: number, code: ErrorCode, error: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'ERR_REQUEST_TIMEOUT', 'the request took too long to arrive'],
  HPE_HEADER_OVERFLOW: [431, 'ERR_HEADERS_TOO_LARGE', 'the headers are larger than 16 KiB'],
};

/** Answers what is no HTTP, or arrives too slowly, in the shape of every other error, and closes the connection. */
export function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket,
  log: FastifyBaseLogger,
): void {
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed) return;
  const [status, code, message] = ANSWERS[error.code ?? ''] ?? [
    400,
    'ERR_REQUEST',
    'this is no HTTP request',
  ];
  log.info({ status, code, reason: error.code }, 'a connection was closed');
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ error: message, code });
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  // Who does not read the answer must not keep the connection.
  socket.setTimeout(1000, () => socket.destroy());
}
