import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cli, inFolder } from '../cli/run';
import { errorOf, held, type Page, post, samplePages, untilIdle } from './faults-world';
import { withServer } from './run';

const LAYOUT = join(__dirname, '../../models/layout');
const CHECKPOINT = join(LAYOUT, 'layout_segnext_nano_freqfusion.pth');

let page: Page;
let folder: string;

beforeAll(async () => {
  [page] = (await samplePages(1)) as [Page];
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-faults-'));
  for (const file of ['config.json', 'nmf_bases.safetensors', 'layout_segnext_nano_freqfusion.pth']) {
    copyFileSync(join(LAYOUT, file), join(folder, file));
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['is missing', undefined],
  ['is no checkpoint', Buffer.from('nothing that a network could use')],
  ['is cut short', 'half'],
])('a server whose checkpoint %s ends with 3 and one line', async (_what, content) => {
  await inFolder(async (place) => {
    const checkpoint = join(place, 'model.pth');
    if (content === 'half') {
      copyFileSync(CHECKPOINT, checkpoint);
      truncateSync(checkpoint, 1_000_000);
    } else if (content !== undefined) writeFileSync(checkpoint, content);
    const config = join(place, 'serve.yaml');
    writeFileSync(
      config,
      'server: {port: 0}\nmodels:\n  - {name: m, task: segment, checkpoint: model.pth}\n',
    );
    const { code, stderr } = await cli(['serve', '--config', config]);
    expect(code).toBe(3);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/^error: model m cannot be loaded: /);
  });
});

test('a model that cannot be loaded anew serves on as it was', async () => {
  const checkpoint = join(folder, 'layout_segnext_nano_freqfusion.pth');
  const models = [
    { name: 'layout', task: 'segment' as const, checkpoint, architecture: join(folder, 'config.json') },
  ];
  await withServer(
    { admin: true },
    async ({ server, url }) => {
      const load = () =>
        post(url, Buffer.alloc(0), { path: '/v2/repository/models/layout/load', headers: {} });
      const before = held(server);
      writeFileSync(checkpoint, 'broken while it served');
      // Requests go on all the time.
      let stopped = false;
      let answered = 0;
      const client = async () => {
        while (!stopped) {
          const { status, body } = await post(url, page.body);
          expect(status).toBe(200);
          expect(body.equals(page.labels)).toBe(true);
          answered += 1;
        }
      };
      const clients = Promise.all([client(), client()]);
      for (let i = 0; i < 3; i += 1) {
        const answer = await load();
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(errorOf(answer).code).toBe('ERR_MODEL_LOAD');
        expect(answer.body.toString()).not.toContain(folder);
      }
      copyFileSync(CHECKPOINT, checkpoint);
      expect((await load()).status).toBe(200);
      const then = answered;
      while (answered < then + 3) await post(url, page.body);
      stopped = true;
      await clients;
      expect(server.models.get('layout').state).toBe('ready');
      // The old model's tensors went with it.
      await untilIdle(server, before);
    },
    { models },
  );
});
