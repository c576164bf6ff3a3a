import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { modelSummary, serverMetadata } from '../protocol/metadata';
import { INPUTS, NOTES, outputsOf, PLATFORM } from '../protocol/model-tensors';
import {
  ModelListSchema,
  ModelMetadataSchema,
  ModelReadySchema,
  ServerMetadataSchema,
} from '../protocol/rest-schema';
import type { RouteOptions } from './health';

/** Parameters of a path that names a model. */
export const ModelParams = Type.Object({
  model: Type.String({ description: 'name of a model' }),
  version: Type.Optional(Type.String({ description: 'its version' })),
});

/** Paths under a model, with and without its version. */
export function modelPaths(suffix: string): readonly string[] {
  return [`/v2/models/:model${suffix}`, `/v2/models/:model/versions/:version${suffix}`];
}

/** Metadata of the server and its models, as the Open Inference Protocol has them. */
export async function modelRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  app.get('/v2', { schema: { response: { 200: ServerMetadataSchema } } }, async () =>
    serverMetadata(context.options),
  );
  app.get('/v2/models', { schema: { response: { 200: ModelListSchema } } }, async () => ({
    models: context.models.list().map(modelSummary),
  }));
  for (const path of modelPaths('')) {
    app.get<{ Params: Static<typeof ModelParams> }>(
      path,
      { schema: { params: ModelParams, response: { 200: ModelMetadataSchema } } },
      async ({ params }) => {
        const served = context.models.get(params.model, params.version);
        const { outputs } = outputsOf(served);
        const { name, version } = served.config;
        return { name, versions: [version], platform: PLATFORM, inputs: INPUTS, outputs, parameters: NOTES };
      },
    );
  }
  for (const path of modelPaths('/ready')) {
    app.get<{ Params: Static<typeof ModelParams> }>(
      path,
      { schema: { params: ModelParams, response: { 200: ModelReadySchema, 503: ModelReadySchema } } },
      async ({ params }, reply) => {
        const served = context.models.get(params.model, params.version);
        const ready = context.accepting() && served.state === 'ready';
        return reply.code(ready ? 200 : 503).send({ name: served.name, ready });
      },
    );
  }
}
