import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import type { RouteOptions } from './health';

/** Prometheus metrics: of all processes, where there are several. */
export async function metricsRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  if (!context.options.metrics) return;
  const schema = {
    tags: ['metrics'],
    summary: 'Metrics in the format of Prometheus',
    produces: ['text/plain'],
    response: { 200: Type.String() },
  };
  app.get('/metrics', { config: { quiet: true }, schema }, async (_request, reply) => {
    return reply.type(context.metrics.registry.contentType).send(await context.scrape());
  });
}
