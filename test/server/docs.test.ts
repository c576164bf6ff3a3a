import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TSchema } from '@sinclair/typebox';
import { BatchSchema, ModelSchema, QueueSchema, ServerSchema } from '../../lib/server/config';
import { expectationOf } from '../../lib/server/config-problems';
import { ServerMetrics } from '../../lib/server/metrics';
import { ModelRepository } from '../../lib/server/model-repository';

const DOCS = readFileSync(join(__dirname, '..', '..', 'docs', 'server.md'), 'utf8');

/** The rows that docs/server.md has to have for the members of a part of the config. */
function rowsOf({ properties, required = [] }: TSchema, prefix = ''): string[] {
  return Object.entries(properties as Record<string, TSchema>)
    .filter(([, schema]) => schema.type !== 'object')
    .map(([name, schema]) => {
      const missing = required.includes(name) ? 'required' : 'none';
      const initial = schema.default === undefined ? missing : `\`${JSON.stringify(schema.default)}\``;
      return `| \`${prefix}${name}\` | ${initial} | ${expectationOf(schema).replaceAll('|', '\\|')} | ${schema.description} |`;
    });
}

test.each([
  ['server', rowsOf(ServerSchema)],
  ['models', [...rowsOf(ModelSchema), ...rowsOf(BatchSchema, 'batch.'), ...rowsOf(QueueSchema, 'queue.')]],
])('docs/server.md has every member of `%s`, as the schema has it', (_, rows) => {
  expect(rows.length).toBeGreaterThan(10);
  expect(rows.filter((row) => !DOCS.includes(row))).toEqual([]);
});

test('docs/server.md has every metric of the server', async () => {
  const metrics = new ServerMetrics();
  metrics.watch(new ModelRepository([], { maxPixels: 1 }));
  const all = await metrics.registry.getMetricsAsJSON();
  const names = all.map(({ name }) => name).filter((name) => name.startsWith('freqfusion_'));
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !DOCS.includes(`| \`${name}\` |`))).toEqual([]);
});
