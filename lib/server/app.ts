import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { limitAccess } from './access';
import { answerClientError } from './client-errors';
import type { ServerContext } from './context';
import { ServerError, shuttingDown } from './errors';
import { httpErrorOf } from './http-errors';
import { KnownRoutes } from './known-routes';
import { Rejections } from './rejections';
import { logRequests } from './request-log';
import { healthRoutes } from './routes/health';
import { imageRoutes } from './routes/images';
import { inferRoutes } from './routes/infer';
import { metricsRoutes } from './routes/metrics';
import { modelRoutes } from './routes/models';
import { documentRoutes, openapiRoutes } from './routes/openapi';
import { pageRoutes } from './routes/page';
import { repositoryRoutes } from './routes/repository';
import { sampleRoutes } from './routes/samples';
import { REQUEST_TIMEOUT } from './ticket';

/** The server's fastify instance. */
export type App = FastifyInstance;

/** Plugins with the routes; each gets `{ context }`. */
const ROUTES = [
  healthRoutes,
  imageRoutes,
  inferRoutes,
  metricsRoutes,
  modelRoutes,
  openapiRoutes,
  pageRoutes,
  repositoryRoutes,
  sampleRoutes,
];

/** Puts the HTTP side of a server together: hooks that hold for every route, then the routes. */
export async function makeApp(context: ServerContext, log: FastifyBaseLogger): Promise<App> {
  const { options } = context;
  const app = fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'id' }),
    bodyLimit: options.bodyLimit,
    requestTimeout: options.bodyTimeout,
    // Ends connections on which nothing moves: clients that do not read their answer.
    connectionTimeout: options.requestTimeout + options.bodyTimeout + 60_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    genReqId: requestId,
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 256 },
    http: {
      headersTimeout: Math.min(10_000, options.bodyTimeout),
      connectionsCheckingInterval: 500,
    },
    clientErrorHandler(error, socket) {
      answerClientError(error, socket as Socket, log);
    },
  }).withTypeProvider<TypeBoxTypeProvider>() as unknown as App;
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.decorate(REQUEST_TIMEOUT, options.requestTimeout);
  app.server.maxConnections = options.maxConnections;
  app.server.on('drop', () => context.metrics.dropped.inc());
  // A client that closes its half after the request still gets its answer; ticket.ts finds those that are gone.
  (app.server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;

  const known = new KnownRoutes(app);
  answerErrors(app, known);
  logRequests(app, context.metrics);
  followPhase(app, context);
  await limitAccess(app, context);
  guardMemory(app, context);
  await documentRoutes(app);
  for (const routes of ROUTES) await app.register(routes, { context });
  return app;
}

/** A client may name its request, so that both logs can be read together. */
function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}

function answerErrors(app: App, known: KnownRoutes): void {
  const rejections = new Rejections();
  app.setErrorHandler(async (error, request, reply) => {
    const { status, body, retryAfter } = httpErrorOf(error);
    const held = body.code === 'ERR_QUEUE_FULL' ? rejections.add() : 0;
    if (held > 0) {
      // What was uploaded is of no use any more.
      request.body = undefined;
      await delay(held);
    }
    if (status === 500) request.log.error({ err: error }, 'a request failed');
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    return reply
      .code(status)
      .type('application/json; charset=utf-8')
      .send({ ...body, requestId: request.id });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0]!;
    const methods = known.methodsAt(path);
    if (methods.length === 0) {
      throw new ServerError('ERR_NOT_FOUND', `there is nothing at ${request.method} ${path}`);
    }
    const expected = `one of ${methods.join(', ')}`;
    reply.header('allow', methods.join(', '));
    throw new ServerError('ERR_METHOD', `expected ${expected} for ${path}, got ${request.method}`, {
      expected,
      actual: request.method,
    });
  });
}

/** From the start of a shutdown on, every answer ends its connection; once nothing new is taken, requests are refused. */
function followPhase(app: App, { phase }: ServerContext): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    if (phase() === 'closed' && request.routeOptions.config?.open !== true) {
      throw shuttingDown();
    }
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (phase() !== 'open') reply.header('connection', 'close');
    done();
  });
}

function guardMemory(app: App, { guards }: ServerContext): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { routeOptions, params, query } = request;
    if (routeOptions.config?.guarded === true) {
      const named = { ...(query as object), ...(params as object) } as { model?: unknown };
      guards.check(typeof named.model === 'string' ? named.model : undefined);
    }
    done();
  });
}
