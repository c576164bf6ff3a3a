import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultServeConfig, readServeConfig } from '../../lib/server/config-file';
import { ServerError } from '../../lib/server/errors';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'freqfusion-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(text: string, name = 'server.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** Reads a config and gives what was wrong with it, without the folder. */
async function problemOf(text: string): Promise<string> {
  const error = await readServeConfig(write(text), {}).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ServerError);
  const { code, message, expected, actual } = error as ServerError;
  expect([code, typeof expected, typeof actual]).toEqual(['ERR_SERVER_CONFIG', 'string', 'string']);
  return message.replace(`${folder}/`, '');
}

const MODEL = 'models:\n  - name: pages\n    task: segment\n';

test('a short YAML file gets every default', async () => {
  const { server, models } = await readServeConfig(write(`server:\n  port: 9000\n${MODEL}`), {});
  expect(server).toMatchObject({ host: '127.0.0.1', port: 9000, workers: 1, apiKeys: [], admin: false });
  expect(models).toEqual([
    {
      name: 'pages',
      task: 'segment',
      version: '1',
      device: 'cpu',
      dtype: 'float32',
      cudaGraph: false,
      batch: { size: 4, delay: 2 },
      queue: { length: 128, bytes: 256 * 2 ** 20 },
      warmup: [],
      instances: 2,
    },
  ]);
});

test('JSON, tabs and all, is read as well', async () => {
  const text = '{\n\t"models": [\n\t\t{ "name": "a", "task": "detect", "batch": { "size": 2 } }\n\t]\n}\n';
  const { models } = await readServeConfig(write(text, 'server.json'), {});
  expect(models[0]).toMatchObject({ name: 'a', task: 'detect', batch: { size: 2, delay: 2 } });
});

test('paths are relative to the file; the name of an architecture is no path', async () => {
  const text = `${MODEL}    checkpoint: weights/a.pth\n    architecture: segnext-tiny-freqfusion
  - { name: other, task: segment, checkpoint: ./b.pth, architecture: nets/config.json }\n`;
  const { models } = await readServeConfig(write(text), {});
  expect(models.map(({ checkpoint, architecture }) => [checkpoint, architecture])).toEqual([
    [join(folder, 'weights/a.pth'), 'segnext-tiny-freqfusion'],
    [join(folder, 'b.pth'), join(folder, 'nets/config.json')],
  ]);
});

test.each([
  [
    `server:\n  portt: 1\n${MODEL}`,
    /^server\.yaml:2:3: server\.portt is no member: expected one of host, .*\(the nearest is port\)$/,
  ],
  [
    `server:\n  port: "1"\n${MODEL}`,
    /^server\.yaml:2:9: expected an integer from 0 to 65535 for server\.port, got "1"$/,
  ],
  [
    `${MODEL}    batch:\n      size: 0\n`,
    /^server\.yaml:5:13: expected an integer from 1 to 256 for models\[0\]\.batch\.size, got 0$/,
  ],
  [
    'models:\n  - name: a\n    task: paint\n',
    /^server\.yaml:3:11: expected one of segment, detect for models\[0\]\.task, got "paint"$/,
  ],
  ['models:\n  - name: a\n', /^server\.yaml:2:5: models\[0\]\.task is missing: expected one of segment/],
  ['server: {}\n', /^server\.yaml:1:1: models is missing: expected a list of 1 to 64 elements$/],
  ['models: []\n', /^server\.yaml:1:9: expected a list of 1 to 64 elements for models, got \[\]$/],
  ['', /^server\.yaml:1:1: expected an object for the config, got null$/],
  [
    `${MODEL}    warmup: [[64, 64], [64]]\n`,
    /^server\.yaml:4:24: models\[0\]\.warmup\[1\]\[1\] is missing: expected an integer from 1 to 65535$/,
  ],
  [
    `${MODEL}  - name: pages\n    task: detect\n`,
    /^server\.yaml:4:11: expected a name that no other model has for models\[1\]\.name, got "pages"$/,
  ],
  ['models:\n  - name: a\n    name: b\n', /^server\.yaml:3:5: Map keys must be unique$/],
  ['models: [\n', /^server\.yaml:2:1: .*must be sufficiently indented and end with a \]$/],
  ['a: 1\n---\nb: 1\n', /^server\.yaml:2:1: .*multiple documents/i],
  [`${MODEL}    version: !secret x\n`, /^server\.yaml:4:14: Unresolved tag: !secret$/],
])('%j is refused with its place', async (text, message) => {
  expect(await problemOf(text)).toMatch(message);
});

test('aliases that multiply are refused', async () => {
  const bomb = Array.from({ length: 9 }, (_, i) => {
    const list =
      i === 0
        ? '[x, x, x]'
        : `[${Array(9)
            .fill(`*a${i - 1}`)
            .join(', ')}]`;
    return `a${i}: &a${i} ${list}`;
  });
  expect(await problemOf(bomb.join('\n'))).toMatch(/^server\.yaml:1:1: .*alias/i);
});

test('a key is never part of an error', async () => {
  const message = await problemOf(`server:\n  apiKeys: [hunter2]\n${MODEL}`);
  expect(message).toMatch(/^server\.yaml:2:13: expected a string of at least 16 characters/);
  expect(message).not.toContain('hunter2');
});

test('a file that is missing is named', async () => {
  await expect(readServeConfig(join(folder, 'none.yaml'))).rejects.toMatchObject({
    code: 'ERR_SERVER_CONFIG',
    message: expect.stringMatching(/none\.yaml: cannot be read: ENOENT$/),
  });
});

describe('without a file', () => {
  test('the bundled models are served', () => {
    const { server, models } = defaultServeConfig({ server: { port: 0 } }, {});
    expect(server.port).toBe(0);
    expect(models.map(({ name, task }) => [name, task])).toEqual([
      ['layout', 'segment'],
      ['shapes', 'detect'],
    ]);
  });

  test('what is wrong is named as in a file', () => {
    expect(() => defaultServeConfig({ server: { port: -1 } }, {})).toThrow(
      'config: expected an integer from 0 to 65535 for server.port, got -1',
    );
  });
});

describe('FREQFUSION_API_KEYS', () => {
  const first = 'k'.repeat(16);
  const second = 'l'.repeat(20);

  test('takes the place of the keys of the file', async () => {
    const path = write(`server:\n  apiKeys: [${'m'.repeat(16)}]\n${MODEL}`);
    const { server } = await readServeConfig(path, { FREQFUSION_API_KEYS: ` ${first}, ${second},` });
    expect(server.apiKeys).toEqual([first, second]);
  });

  test.each(['', ' , ', 'short', `${first},short`])('%j opens no server', (keys) => {
    expect(() => defaultServeConfig({}, { FREQFUSION_API_KEYS: keys })).toThrow(
      /^FREQFUSION_API_KEYS: expected keys of at least 16 characters/,
    );
  });
});
