import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { version } from '../../cli/version';

/** Collects the schemas of every route that is added from now on. */
export async function documentRoutes(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'freqfusion',
        description: 'Semantic segmentation and object detection of images.',
        version: version(),
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      // Keys are asked for where the server has some.
      security: [{}, { bearer: [] }, { key: [] }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          key: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        },
      },
    },
  });
}

/** The OpenAPI document, made of the routes' own schemas. */
export async function openapiRoutes(app: FastifyInstance): Promise<void> {
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}
