import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { Static } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { FreqFusionError, invalidArgument } from '../../errors';
import { ServerError } from '../errors';
import { infer } from '../protocol/infer';
import { scheduleOf } from '../protocol/parameters';
import { LENGTH_HEADER, readRestRequest } from '../protocol/rest-request';
import { writeRestAnswer } from '../protocol/rest-response';
import { InferRequestSchema, InferResponseSchema } from '../protocol/rest-schema';
import { ticketOf } from '../ticket';
import type { RouteOptions } from './health';
import { ModelParams, modelPaths } from './models';

const DECODERS: Readonly<Record<string, typeof gunzip.__promisify__>> = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
};

/** Inference by the Open Inference Protocol, with its binary tensor data. */
export async function inferRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const { maxPixels, bodyLimit } = context.options;
  // Whatever the client calls it: Triton's sends JSON and binary data without a type.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  for (const path of modelPaths('/infer')) {
    app.post<{ Params: Static<typeof ModelParams> }>(
      path,
      {
        config: { guarded: true },
        schema: {
          params: ModelParams,
          body: { content: { 'application/json': { schema: InferRequestSchema } } },
          response: { 200: { content: { 'application/json': { schema: InferResponseSchema } } } },
        },
        // The body is bytes yet; rest-request.ts checks the JSON in it by the same schema.
        validatorCompiler: (route) =>
          route.httpPart === 'body' ? () => true : TypeBoxValidatorCompiler(route as never),
      },
      async (request, reply) => {
        const served = context.models.get(request.params.model, request.params.version);
        const body = await plainBody(request.body, request.headers['content-encoding'], bodyLimit);
        const length = request.headers[LENGTH_HEADER] as string | undefined;
        const { id = request.id, binary, ...rest } = readRestRequest(body, length);
        const ticket = ticketOf(request, reply, scheduleOf(rest.parameters), body.length);
        const outputs = await infer(served, rest, { ticket, maxPixels });
        const { name, version } = served.config;
        const answer = writeRestAnswer({ model: { name, version }, id, outputs, binary });
        if (answer.jsonLength !== undefined) reply.header(LENGTH_HEADER, String(answer.jsonLength));
        const type = answer.jsonLength === undefined ? 'application/json' : 'application/octet-stream';
        if (answer.length !== undefined) reply.header('content-length', answer.length);
        return reply.type(type).send(answer.body);
      },
    );
  }
}

/** The body without its compression. Throws ERR_REQUEST, ERR_MEDIA_TYPE, or ERR_BODY_TOO_LARGE. */
async function plainBody(body: unknown, encoding: string | undefined, limit: number): Promise<Buffer> {
  if (!Buffer.isBuffer(body)) throw invalidArgument('ERR_REQUEST', 'the request', 'a body', undefined);
  if (encoding === undefined || encoding === 'identity') return body;
  const decode = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined;
  if (decode === undefined) {
    throw invalidArgument('ERR_MEDIA_TYPE', 'content-encoding', 'gzip or deflate', encoding);
  }
  try {
    return await decode(body, { maxOutputLength: limit });
  } catch (error) {
    if (/BUFFER_TOO_LARGE$/.test(String((error as NodeJS.ErrnoException).code))) {
      throw new ServerError('ERR_BODY_TOO_LARGE', `the body has more than ${limit} bytes`, {
        expected: `at most ${limit} bytes`,
        actual: 'more, once decompressed',
      });
    }
    throw new FreqFusionError('ERR_REQUEST', `expected a body in ${encoding}, got one that is damaged`, {
      expected: `a body in ${encoding}`,
      actual: 'damaged data',
      cause: error,
    });
  }
}
