import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ServerMetrics } from './metrics';

/** Status that the log gives a request whose client went before it was answered. */
const CLIENT_GONE = 499;

/** Logs one line for every request, and counts it: whether it was answered, or its client went. */
export function logRequests(app: FastifyInstance, metrics: ServerMetrics): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.once('close', () => note(request, reply, metrics));
    done();
  });
}

function note(request: FastifyRequest, reply: FastifyReply, metrics: ServerMetrics): void {
  const { method, routeOptions, id } = request;
  const route = routeOptions.url ?? 'unknown';
  const status = reply.raw.writableFinished ? reply.raw.statusCode : CLIENT_GONE;
  metrics.requests.inc({ route, status });
  metrics.seconds.observe({ route }, reply.elapsedTime / 1000);
  const ms = Math.round(reply.elapsedTime * 10) / 10;
  // Probes and scrapes come every few seconds for ever.
  const level = routeOptions.config?.quiet === true && status < 400 ? 'debug' : 'info';
  request.server.log[level]({ id, method, route, status, ms }, 'request');
}
