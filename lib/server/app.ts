import { randomUUID } from 'node:crypto';
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { ServerContext } from './context';
import { ServerError } from './errors';
import { httpErrorOf } from './http-errors';
import { healthRoutes } from './routes/health';

/** The server's fastify instance. */
export type App = FastifyInstance;

/** Puts the HTTP side of a server together: hooks that hold for every route, then the routes. */
export async function makeApp(context: ServerContext, log: FastifyBaseLogger): Promise<App> {
  const { options } = context;
  const app = fastify({
    loggerInstance: log,
    bodyLimit: options.bodyLimit,
    requestTimeout: options.bodyTimeout,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    genReqId: () => randomUUID(),
    return503OnClosing: true,
    routerOptions: { ignoreTrailingSlash: true },
    http: { headersTimeout: Math.min(10_000, options.bodyTimeout), connectionsCheckingInterval: 1_000 },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(TypeBoxValidatorCompiler);

  app.setErrorHandler((error, request, reply) => {
    const { status, body, retryAfter } = httpErrorOf(error);
    if (status >= 500) request.log.error({ err: error }, 'a request failed');
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    return reply.code(status).send({ ...body, requestId: request.id });
  });
  app.setNotFoundHandler((request) => {
    throw new ServerError(
      'ERR_NOT_FOUND',
      `there is nothing at ${request.method} ${request.url.split('?')[0]}`,
    );
  });
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown';
    context.metrics.requests.inc({ route, status: reply.statusCode });
    context.metrics.seconds.observe({ route }, reply.elapsedTime / 1000);
    done();
  });

  await app.register(healthRoutes, { context });
  return app as unknown as App;
}
