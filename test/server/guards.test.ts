import { defaultServeConfig } from '../../lib/server/config-file';
import { defaultMaxMemory, type Gauges, Guards } from '../../lib/server/guards';
import { ModelRepository } from '../../lib/server/model-repository';

const { models } = defaultServeConfig(
  {
    models: [
      { name: 'cpu', task: 'segment' },
      { name: 'gpu', task: 'segment', device: 'cuda:1' },
    ],
  },
  {},
);

function makeGuards(gauges: Partial<Gauges>) {
  const repository = new ModelRepository(models, { maxPixels: 1 });
  const all = { rss: () => 0, gpuFree: () => 1000, release: () => {}, now: () => 0, ...gauges };
  return new Guards({ maxMemory: 100, minGpuMemory: 10, workers: 1 }, repository, all);
}

test('work is let in while there is memory', () => {
  expect(() => makeGuards({ rss: () => 100, gpuFree: () => 10 }).check()).not.toThrow();
});

test('caches are emptied before work is refused, and not at every request', () => {
  let rss = 101;
  let released = 0;
  let now = 0;
  const release = () => {
    released += 1;
    if (released === 1) rss = 50;
  };
  const guards = makeGuards({ rss: () => rss, release, now: () => now });
  expect(() => guards.check()).not.toThrow();
  rss = 101;
  now = 1000;
  expect(() => guards.check()).toThrow('too little memory');
  expect(released).toBe(1);
  now = 20_000;
  expect(() => guards.check()).toThrow(
    expect.objectContaining({ code: 'ERR_OVERLOADED', retryAfter: 5, actual: '101' }),
  );
  expect(released).toBe(2);
});

test('a reading holds for a moment', () => {
  let readings = 0;
  let now = 0;
  const guards = makeGuards({ now: () => now, rss: () => (readings += 1) });
  for (now = 0; now < 400; now += 10) guards.check();
  expect(readings).toBe(2);
});

test('a GPU that is short of memory refuses the models on it alone', () => {
  const guards = makeGuards({ gpuFree: (device) => (device === 'cuda:1' ? 9 : 1000) });
  expect(() => guards.check('cpu')).not.toThrow();
  for (const name of ['gpu', undefined, 'unknown']) {
    expect(() => guards.check(name)).toThrow('cuda:1 has too little memory for new work');
  }
});

test('by default 90 % of what there is is shared out among the workers', () => {
  expect(defaultMaxMemory(1)).toBeGreaterThan(1e8);
  expect(defaultMaxMemory(2)).toBe(Math.floor(defaultMaxMemory(1) / 2));
});
