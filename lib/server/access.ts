import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';
import type { ServerContext } from './context';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without an API key. */
    open?: boolean;
    /** Logged at the level debug. */
    quiet?: boolean;
    /** Makes work for a model: refused while memory is short, before the body is read. */
    guarded?: boolean;
  }
}

/** What the page needs and nothing else: its own scripts and styles, and images that it makes itself. */
const CONTENT_SECURITY_POLICY = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'", 'blob:', 'data:'],
  connectSrc: ["'self'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"],
};

/** Headers that a browser may read of an answer to another origin. */
const EXPOSED = [
  'x-request-id',
  'x-freqfusion-model',
  'server-timing',
  'retry-after',
  'inference-header-content-length',
];

/** Adds what decides who may call: security headers, origins of browsers, and API keys. */
export async function limitAccess(app: FastifyInstance, { options, keys }: ServerContext): Promise<void> {
  const { cors: origins } = options;
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: CONTENT_SECURITY_POLICY },
    crossOriginResourcePolicy: { policy: origins.length === 0 ? 'same-origin' : 'cross-origin' },
    // Without TLS these three mean nothing (browsers complain of one), and a proxy with TLS sets its own.
    strictTransportSecurity: false,
    originAgentCluster: false,
    crossOriginOpenerPolicy: false,
  });
  if (origins.length > 0) {
    await app.register(cors, {
      origin: origins.includes('*') ? '*' : origins,
      methods: ['GET', 'HEAD', 'POST'],
      exposedHeaders: EXPOSED,
      maxAge: 600,
    });
  }
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config?.open === true) return done();
    try {
      keys.check(request.headers);
    } catch (error) {
      reply.header('www-authenticate', 'Bearer realm="freqfusion"');
      throw error;
    }
    return done();
  });
}
