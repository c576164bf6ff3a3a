import {
  FreqFusionError,
  Hamburger,
  loadModel,
  type MemoryStats,
  memoryStats,
  runtimeInfo,
  SegNeXt,
  tensor,
  zeros,
} from '../../lib';
import { graphCapacity } from '../../lib/jobs';
import { native } from '../../lib/native';
import { expectNothingLeft } from '../collect-garbage';

async function errorOf(run: () => unknown): Promise<FreqFusionError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof FreqFusionError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** What is said of a GPU, where the build has none; elsewhere test/native and scripts/gpu.sh say more. */
const WITHOUT_CUDA = runtimeInfo().cuda ? [] : ['cuda', 'cuda:1'];

describe('devices', () => {
  test.each(['cuda:01', 'cuda:00', 'cuda:1000', 'cuda:-1', 'cuda:', 'cpu:0', 'CUDA', 'cuda:1\n'])(
    '%j is no name of a device',
    async (device) => {
      const wrong = {
        code: 'ERR_DEVICE',
        expected: "'cpu', 'cuda' or 'cuda:N'",
        actual: JSON.stringify(device),
      };
      expect(await errorOf(() => zeros([1], { device: device as 'cpu' }))).toMatchObject(wrong);
    },
  );

  test.each(['cuda:01', 'meta'])('the addon does not read %j as one either', async (device) => {
    expect((await errorOf(() => native().synchronize(device))).code).toBe('ERR_DEVICE');
  });

  test('every way to name a GPU gives the same error where there is none', async () => {
    for (const device of WITHOUT_CUDA as 'cuda'[]) {
      using x = zeros([1]);
      using network = new Hamburger({ hamChannels: 16, normGroups: 4 });
      const calls = [
        () => zeros([1], { device }),
        () => x.to(device),
        () => tensor([1], [1], { device }),
        () => network.to(device),
        () => memoryStats(device),
        () => native().resetPeakMemory(device),
        () => native().synchronize(device),
        () => loadModel(undefined, { device, cudaGraph: true }),
      ];
      for (const call of calls) {
        expect(await errorOf(call)).toMatchObject({
          code: 'ERR_DEVICE',
          expected: 'a device that this libtorch supports (cpu)',
          actual: device,
        });
      }
    }
  });

  test('memoryStats of the CPU is that of no device, and names are checked', async () => {
    expect(Object.keys(memoryStats('cpu'))).toEqual(Object.keys(memoryStats() satisfies MemoryStats));
    expect((await errorOf(() => memoryStats('tpu' as never))).code).toBe('ERR_DEVICE');
    expect((await errorOf(() => native().deviceMemory('cpu'))).message).toBe(
      'expected a CUDA device for device, got cpu',
    );
  });

  test('synchronize waits for what was started before', async () => {
    const order: string[] = [];
    using logits = zeros([1, 9, 64, 64]);
    const run = native().runOperator('kernel_normalizer', { logits: logits.handle }, { kernelSize: 3 }, 0);
    const job = run.then(({ output }) => {
      order.push('job');
      native().tensorDispose(output!);
    });
    await native().synchronize('cpu');
    order.push('synchronize');
    await job;
    expect(order).toEqual(['job', 'synchronize']);
  });
});

describe('cudaGraph', () => {
  test('is a boolean or a capacity; eight graphs are kept by default', () => {
    expect([undefined, false, true, {}, { capacity: 3 }].map(graphCapacity)).toEqual([0, 0, 8, 8, 3]);
  });

  test.each([
    ['a word', 'yes', 'ERR_TYPE', 'cudaGraph'],
    ['null', null, 'ERR_TYPE', 'cudaGraph'],
    ['no graphs', { capacity: 0 }, 'ERR_RANGE', 'cudaGraph.capacity'],
    ['half a graph', { capacity: 1.5 }, 'ERR_RANGE', 'cudaGraph.capacity'],
  ])('given %s, then it throws', async (_what, option, code, name) => {
    const error = await errorOf(() => graphCapacity(option));
    expect(error).toMatchObject({ code, message: expect.stringContaining(`for ${name}, got`) });
  });

  test('is an error on the CPU, of a model before its file is read', async () => {
    expect(await errorOf(() => loadModel('/no/such/file', { cudaGraph: true }))).toMatchObject({
      code: 'ERR_DEVICE',
      expected: "'cuda' or 'cuda:N' with cudaGraph",
    });
    using network = new Hamburger({ hamChannels: 16, normGroups: 4 });
    using x = zeros([1, 16, 4, 4]);
    expect(await errorOf(() => network.forward({ x }, { cudaGraph: true }))).toMatchObject({
      code: 'ERR_DEVICE',
      message: 'expected a module on a CUDA device for cudaGraph, got cpu',
    });
    using segnext = new SegNeXt();
    using image = zeros([8, 8, 3], { dtype: 'uint8' });
    expect((await errorOf(() => segnext.segment(image, { cudaGraph: { capacity: 2 } }))).code).toBe(
      'ERR_DEVICE',
    );
    (await network.forward({ x }, { cudaGraph: false })).output.dispose();
  });
});

describe('timing', () => {
  test('an operator is timed as often as it was asked', async () => {
    using logits = zeros([1, 9, 32, 32]);
    const before = memoryStats();
    const { milliseconds, baseBytes, peakBytes } = await native().timeOperator(
      'kernel_normalizer',
      { logits: logits.handle },
      { kernelSize: 3 },
      { warmup: 1, repeats: 5, flushBytes: 2 ** 20 },
    );
    expect(milliseconds).toHaveLength(5);
    expect(Math.min(...milliseconds)).toBeGreaterThan(0);
    expect([baseBytes, peakBytes]).toEqual([0, 0]);
    expectNothingLeft(before);
  });

  test('a module is timed by method, and its errors are those of a run', async () => {
    using network = new Hamburger({ hamChannels: 16, normGroups: 4 });
    using x = zeros([1, 16, 4, 4]);
    const time = (method: string, graphs: number) =>
      native().timeModule(network.handle, method, { x: x.handle }, {}, graphs, { warmup: 0, repeats: 2 });
    expect((await time('forward', 0)).milliseconds).toHaveLength(2);
    expect((await errorOf(() => time('backward', 0))).code).toBe('ERR_METHOD_UNKNOWN');
    expect((await errorOf(() => time('forward', 8))).code).toBe('ERR_DEVICE');
    const plan = { repeat: 2 } as never;
    expect((await errorOf(() => native().timeOperator('hamming_window', {}, {}, plan))).code).toBe(
      'ERR_OPTION_UNKNOWN',
    );
  });
});
