import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Priority, Ticket } from './batch-queue';

/** What a request may say of its own waiting. */
export interface TicketOptions {
  /** Default 'normal'. */
  readonly priority?: Priority | undefined;
  /** Milliseconds; default and most: the server's `requestTimeout`. */
  readonly timeout?: number | undefined;
}

/** The app's decorator that holds `server.requestTimeout`. */
export const REQUEST_TIMEOUT = 'requestTimeout';

/** Milliseconds between two questions to a client that has closed its half of the connection. */
const PROBE = 200;

/**
 * The ticket of a request: its priority, the time that it has, `bytes` that it holds while it waits, and a signal that
 * fires when the client goes before its answer is written.
 */
export function ticketOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { priority, timeout }: TicketOptions,
  bytes: number,
): Ticket & { bytes: number } {
  const most = request.server.getDecorator<number>(REQUEST_TIMEOUT);
  const controller = new AbortController();
  const { raw } = reply;
  const { socket } = request.raw;
  const stopProbing = probe(request, reply);
  raw.once('close', () => {
    stopProbing();
    if (!raw.writableFinished) controller.abort(new Error('the connection was closed'));
  });
  if (raw.closed || socket.destroyed) controller.abort(new Error('the connection was closed'));
  return {
    signal: controller.signal,
    timeout: timeout === undefined ? most : Math.min(timeout, most),
    bytes,
    ...(priority !== undefined && { priority }),
  };
}

/**
 * Who has closed its half of a connection may still be reading, or may be gone: both look the same. An interim answer
 * (102, which every HTTP/1.1 client has to skip) tells them apart: to one that is gone it cannot be delivered, and the
 * connection closes.
 */
function probe(request: FastifyRequest, reply: FastifyReply): () => void {
  const { socket, httpVersion } = request.raw;
  const { raw } = reply;
  let timer: NodeJS.Timeout | undefined;
  const ask = () => {
    if (raw.headersSent || socket.destroyed || httpVersion === '1.0') return;
    // Behind an earlier answer on the same connection, this one has no socket yet.
    if (raw.socket !== null) raw.writeProcessing();
    timer = setTimeout(ask, PROBE);
    timer.unref();
  };
  if (socket.readableEnded === true) ask();
  else socket.once('end', ask);
  return () => {
    socket.removeListener('end', ask);
    clearTimeout(timer);
  };
}
