import { cpus } from 'node:os';
import { LONGEST_DELAY, Restarts } from '../../lib/server/cluster/restarts';
import { shareOf } from '../../lib/server/cluster/share';
import { defaultServeConfig, type PartialServeConfig } from '../../lib/server/config-file';

describe('the replacing of workers', () => {
  test('takes longer each time they die soon after their start', () => {
    const restarts = new Restarts();
    const delays = Array.from({ length: 12 }, () => restarts.delayAfter(100));
    expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
    expect(delays.at(-1)).toBe(LONGEST_DELAY);
    expect(restarts.delayAfter(60_000)).toBe(100);
  });

  test('is given up where they die again and again before they are ready', () => {
    const restarts = new Restarts();
    const delays = Array.from({ length: 5 }, () => restarts.delayAfter(undefined));
    expect(delays).toEqual([100, 200, 400, 800, undefined]);
  });

  test('has new patience after one that was ready', () => {
    const restarts = new Restarts();
    for (let i = 0; i < 4; i += 1) restarts.delayAfter(undefined);
    restarts.delayAfter(1);
    expect(restarts.delayAfter(undefined)).toEqual(expect.any(Number));
  });
});

describe('the share of a worker', () => {
  const config = (server: PartialServeConfig['server'] & object, device = 'cpu') =>
    defaultServeConfig({ server, models: [{ name: 'a', task: 'segment', device }] }, {});

  test('is its part of the cores and of the memory', () => {
    const { server } = shareOf(config({ workers: 2, maxMemory: 1001 }), 1, () => 0);
    expect(server).toMatchObject({ threads: Math.max(1, Math.floor(cpus().length / 2)), maxMemory: 500 });
    expect(shareOf(config({ workers: 2, threads: 3 }), 0, () => 0).server.threads).toBe(3);
  });

  test.each([
    ['cuda', 2, ['cuda:0', 'cuda:1', 'cuda:0']],
    ['cuda', 1, ['cuda', 'cuda', 'cuda']],
    ['cuda:1', 2, ['cuda:1', 'cuda:1', 'cuda:1']],
    ['cpu', 2, ['cpu', 'cpu', 'cpu']],
  ])('of %s with %i GPUs is %j', (device, gpus, expected) => {
    const all = config({ workers: 3 }, device);
    const devices = [0, 1, 2].map((index) => shareOf(all, index, () => gpus).models[0]!.device);
    expect(devices).toEqual(expected);
  });
});
