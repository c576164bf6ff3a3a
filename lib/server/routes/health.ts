import type { FastifyInstance } from 'fastify';
import type { ServerContext } from '../context';

/** Options of every plugin with routes. */
export interface RouteOptions {
  readonly context: ServerContext;
}

/** Liveness and readiness, as the Open Inference Protocol names them. */
export async function healthRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  app.get('/v2/health/live', async () => ({ live: true }));
  app.get('/v2/health/ready', async (_request, reply) => {
    const ready = context.accepting() && context.models.ready;
    return reply.code(ready ? 200 : 503).send({ ready });
  });
}
