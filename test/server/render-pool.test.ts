import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePalette } from '../../lib/image/palette';
import { type RenderJob, render } from '../../lib/server/images/render';
import { RenderPool, type RenderPoolOptions } from '../../lib/server/images/render-pool';
import { runsText } from '../../lib/server/images/runs-text';

const DIST = join(__dirname, '../../dist/server/images');
const [W, H] = [64, 48];

/** Labels and pixels of a size, always the same. */
function mapOf(width: number, height: number) {
  const labels = Uint8Array.from({ length: width * height }, (_, i) => (i * i + (i >> 5)) % 4);
  const classes = ['background', 'text', 'figure', 'table'];
  return { width, height, labels, classes, palette: makePalette(4) };
}
const map = mapOf(W, H);
const image = {
  data: Uint8Array.from({ length: 3 * W * H }, (_, i) => i & 255),
  width: W,
  height: H,
  channels: 3 as const,
  format: 'png' as const,
};
const mask = { rle: { size: [H, W] as const, counts: Uint32Array.of(100, 30, 18, 30, W * H - 178) } };
const detection = { box: [2, 4, 20, 40] as const, score: 0.9, label: 1, className: 'text', mask };
const ids = Int32Array.from(map.labels, (label) => 1000 * label);
const segments = [{ id: 1000, label: 1, className: 'text', isThing: true }];
const { palette } = map;

const JOBS: RenderJob[] = [
  { kind: 'runs', map, before: { model: 'layout' }, after: { batch: 1 } },
  { kind: 'runs', map: { ...map, labels: Int32Array.from(map.labels) }, before: {}, after: {} },
  { kind: 'stuff', map, imageId: 3 },
  { kind: 'labels', map },
  { kind: 'labels', map: { ...map, labels: Uint16Array.from(map.labels, (label) => 300 * label) } },
  { kind: 'overlay', map, image, options: { opacity: 0.7 } },
  {
    kind: 'detections',
    image,
    subject: { width: W, height: H, palette, detections: [detection] },
    options: {},
  },
  { kind: 'panoptic', image, subject: { width: W, height: H, palette, ids, segments }, options: {} },
  { kind: 'ids', ids, width: W, height: H },
];

const open: RenderPool[] = [];
function poolOf(options: RenderPoolOptions = {}): RenderPool {
  const pool = new RenderPool(options);
  open.push(pool);
  return pool;
}
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'freqfusion-pool-'));
});
afterEach(() => Promise.all(open.splice(0).map((pool) => pool.close())));
afterAll(() => rm(folder, { recursive: true }));

/** A thread's script that is ready and does this with every message. */
async function scriptOf(name: string, body: string): Promise<string> {
  const file = join(folder, `${name}.cjs`);
  const start = "const { parentPort } = require('node:worker_threads');";
  await writeFile(file, `${start} parentPort.postMessage({ ready: true }); ${body}`);
  return file;
}

test('a thread makes what the same call makes here', async () => {
  const pool = poolOf({ threads: 2 });
  const made = await Promise.all(JOBS.map((job) => pool.render(job)));
  for (const [i, job] of JOBS.entries()) {
    expect([job.kind, made[i]!.equals(await render(job))]).toEqual([job.kind, true]);
  }
  expect(pool.load).toEqual({ jobs: 0, bytes: 0 });
});

test('the pixels that a job was given are still there', async () => {
  await poolOf().render(JOBS[5]!);
  expect([map.labels.length, image.data.length]).toEqual([W * H, 3 * W * H]);
});

test('a timer ticks while a large overlay is made', async () => {
  const pool = poolOf();
  const large = mapOf(2000, 1500);
  const data = new Uint8Array(3 * 2000 * 1500);
  const picture = { ...image, data, width: 2000, height: 1500 };
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await pool.render({ kind: 'overlay', map: large, image: picture, options: {} });
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(10);
});

test('what a thread throws arrives with its code', async () => {
  const narrow = { ...map, width: W - 1 };
  const job: RenderJob = { kind: 'overlay', map: narrow, image, options: {} };
  await expect(poolOf().render(job)).rejects.toMatchObject({
    name: 'FreqFusionError',
    code: 'ERR_IMAGE_SIZE',
    expected: `${W - 1} x ${H} pixels`,
  });
});

test('a job that is given up leaves nothing behind, waiting or running', async () => {
  const pool = poolOf({ script: await scriptOf('silent', 'parentPort.on("message", () => {});') });
  const controller = new AbortController();
  const jobs = Array.from({ length: 4 }, () => pool.render(JOBS[3]!, controller));
  controller.abort(new Error('gone'));
  for (const job of jobs) await expect(job).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  await expect(pool.render(JOBS[3]!, controller)).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect(pool.load).toEqual({ jobs: 0, bytes: 0 });
});

test('a job that is not done in time is given up', async () => {
  const pool = poolOf({ script: await scriptOf('silent', 'parentPort.on("message", () => {});') });
  for (const timeout of [5, 0, -5]) {
    await expect(pool.render(JOBS[3]!, { timeout })).rejects.toMatchObject({ code: 'ERR_DEADLINE' });
  }
  expect(pool.load).toEqual({ jobs: 0, bytes: 0 });
});

test('a running job hears that it was given up', async () => {
  const script = await scriptOf(
    'listening',
    `const ids = []; parentPort.on('message', (message) => {
      if (message.job) return ids.push(message.id);
      const said = new TextEncoder().encode('given up: ' + ids.indexOf(message.cancel));
      parentPort.postMessage({ id: ids[1], bytes: said.buffer });
    });`,
  );
  const pool = poolOf({ script });
  const controller = new AbortController();
  const first = pool.render(JOBS[3]!, controller);
  const second = pool.render(JOBS[3]!);
  // Both are on their way to the thread by then.
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  await expect(first).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  expect((await second).toString()).toBe('given up: 0');
});

test('a thread that dies fails its jobs alone, and another takes its place', async () => {
  const real = JSON.stringify(join(DIST, 'render-worker.js'));
  const script = await scriptOf(
    'dying',
    `parentPort.once('message', (message) => {
      if (message.job.kind === 'labels') throw new Error('out of luck');
      require(${real}); parentPort.emit('message', message);
    });`,
  );
  const pool = poolOf({ script });
  await expect(pool.render(JOBS[3]!)).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  expect((await pool.render(JOBS[2]!)).equals(await render(JOBS[2]!))).toBe(true);
});

test('where threads cannot start, jobs fail instead of waiting for ever', async () => {
  const pool = poolOf({ script: join(folder, 'nothing.cjs') });
  const jobs = Array.from({ length: 4 }, () => pool.render(JOBS[3]!));
  for (const job of jobs) await expect(job).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
});

describe('the limits', () => {
  test.each([
    ['jobs', { jobs: 2 }],
    ['bytes', { bytes: 2 * W * H }],
  ])('of %s: no more are invited, and those that come all the same have some room', async (_, limits) => {
    const script = await scriptOf('silent', 'parentPort.on("message", () => {});');
    const pool = poolOf({ script, ...limits });
    const controller = new AbortController();
    const refused = expect.objectContaining({ code: 'ERR_QUEUE_FULL', retryAfter: 1 });
    const jobs: Promise<unknown>[] = [];
    const add = () => jobs.push(pool.render(JOBS[3]!, controller));
    add();
    expect(() => pool.checkRoom()).not.toThrow();
    add();
    expect(() => pool.checkRoom()).toThrow(refused);
    for (let i = 2; i < 4; i++) add();
    await expect(pool.render(JOBS[3]!)).rejects.toEqual(refused);
    controller.abort();
    expect((await Promise.allSettled(jobs)).map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(() => pool.checkRoom()).not.toThrow();
  });
});

test('closing waits for what was taken, and takes no more', async () => {
  const pool = poolOf();
  const job = pool.render(JOBS[5]!);
  const closed = pool.close();
  await expect(pool.render(JOBS[5]!)).rejects.toMatchObject({ code: 'ERR_SHUTTING_DOWN' });
  await closed;
  expect((await job).equals(await render(JOBS[5]!))).toBe(true);
});

test('a thread loads neither the addon nor what talks to it', () => {
  const script = `require(${JSON.stringify(join(DIST, 'render.js'))});
    console.log(JSON.stringify(Object.keys(require.cache)));`;
  const loaded = JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })) as string[];
  expect(loaded.filter((file) => file.endsWith('overlay.js'))).not.toEqual([]);
  expect(
    loaded.filter((file) => /dist\/(native|loader|binding|tensor)\.js$|freqfusion\.node$/.test(file)),
  ).toEqual([]);
});

describe('runs as text', () => {
  test.each([
    ['one pixel', Uint8Array.of(7), '7,1'],
    ['numbers of many digits', new Int32Array(1_000_000).fill(2_147_483_647), '2147483647,1000000'],
    ['no run longer than one', Uint16Array.of(0, 9, 10, 99, 100, 65_535), '0,1,9,1,10,1,99,1,100,1,65535,1'],
  ])('%s', (_, labels, text) => expect(runsText(labels).toString()).toBe(text));

  test('grows with the noise', () => {
    const labels = Int32Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 100_000);
    const text = runsText(labels).toString();
    expect(text).toBe(Array.from(labels, (label) => `${label},1`).join(','));
  });
});
