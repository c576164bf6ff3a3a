import { type Static, Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { withoutPaths } from '../http-errors';
import type { AnyServedModel } from '../model-repository';
import type { RouteOptions } from './health';

const tags = ['repository'];

const IndexBody = Type.Union([Type.Null(), Type.Object({ ready: Type.Optional(Type.Boolean()) })]);

const Index = Type.Array(
  Type.Object({
    name: Type.String(),
    version: Type.String(),
    state: Type.String({ description: 'READY, LOADING or UNAVAILABLE' }),
    reason: Type.String({ description: 'why it is not ready, where it is not' }),
  }),
);

const Name = Type.Object({ model: Type.String() });
const Done = Type.Object({});

const STATES = { ready: 'READY', loading: 'LOADING', failed: 'UNAVAILABLE', unloaded: 'UNAVAILABLE' };

/** Triton's model repository extension: what there is, and loading and unloading it. Only with `server.admin`. */
export async function repositoryRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  if (!context.options.admin) return;
  const { models, control } = context;

  const index = { tags, summary: 'The models and their states', body: IndexBody, response: { 200: Index } };
  app.post<{ Body: Static<typeof IndexBody> }>(
    '/v2/repository/index',
    { schema: index },
    async ({ body }) => {
      const all = models.list().map(entryOf);
      return body?.ready === true ? all.filter(({ state }) => state === 'READY') : all;
    },
  );

  const load = { tags, summary: 'Load a model, or load it anew', params: Name, response: { 200: Done } };
  app.post<{ Params: Static<typeof Name> }>(
    '/v2/repository/models/:model/load',
    { schema: load },
    async ({ params }) => {
      await control.load(params.model);
      return {};
    },
  );

  const unload = { tags, summary: 'Unload a model', params: Name, response: { 200: Done } };
  app.post<{ Params: Static<typeof Name> }>(
    '/v2/repository/models/:model/unload',
    { schema: unload },
    async ({ params }) => {
      await control.unload(params.model);
      return {};
    },
  );
}

function entryOf({ name, state, error, config }: AnyServedModel): Static<typeof Index>[number] {
  const why = error instanceof Error ? withoutPaths(error.message) : '';
  const reason = state === 'ready' ? '' : state === 'failed' ? why : state;
  return { name, version: config.version, state: STATES[state], reason };
}
