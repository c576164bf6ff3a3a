import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import type { ServerContext } from '../context';

/** Options of every plugin with routes. */
export interface RouteOptions {
  readonly context: ServerContext;
}

const tags = ['health'];
const config = { open: true, quiet: true };

const Live = Type.Object({ live: Type.Boolean() }, { description: 'the process answers' });
const Ready = Type.Object({ ready: Type.Boolean() }, { description: 'every model can answer' });

/** Liveness and readiness, as the Open Inference Protocol names them. */
export async function healthRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const live = { tags, summary: 'Whether the server lives', security: [], response: { 200: Live } };
  app.get('/v2/health/live', { config, schema: live }, async () => ({ live: true }));

  const response = { 200: Ready, 503: Ready };
  const ready = { tags, summary: 'Whether requests should be sent here', security: [], response };
  app.get('/v2/health/ready', { config, schema: ready }, async (_request, reply) => {
    const ready = context.accepting() && context.models.ready;
    return reply.code(ready ? 200 : 503).send({ ready });
  });
}
