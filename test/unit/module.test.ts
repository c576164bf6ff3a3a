import { memoryStats, scope, type Tensor, tensor, zeros } from '../../lib';
import { StateDict } from '../../lib/checkpoint/state-dict';
import { FreqFusion } from '../../lib/modules/freqfusion';
import { nearestName } from '../../lib/modules/nearest-name';
import { distance, errorOf, fill, map } from './synthetic';

const OPTIONS = { hrChannels: 6, lrChannels: 8, compressedChannels: 8, featureResample: true } as const;

/** Values for every name of the module, as a plain object. */
function recordOf(module: FreqFusion): Record<string, Tensor> {
  return Object.fromEntries([...module.stateDict()].map(({ name, tensor: view }) => [name, view().clone()]));
}

function without(record: Record<string, Tensor>, ...names: string[]): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
}

function renamed(record: Record<string, Tensor>, rename: (name: string) => string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [rename(name), value]));
}

describe('loadStateDict', () => {
  test('given the state dict of another module, then both hold the same values', async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const report = await to.loadStateDict(from.stateDict());
    expect(report.loaded).toEqual(from.stateInfo().map(({ name }) => name));
    expect(report).toMatchObject({
      missing: [],
      unexpected: [],
      mismatched: [],
      renamed: [],
      defaulted: [],
      nearest: {},
    });
    for (const { name, tensor: view } of from.stateDict()) {
      expect(distance(view(), to.stateDict().get(name)!.tensor())).toBe(0);
    }
  });

  test('given strict and a slip in a name, then nothing is loaded and the error names the nearest key', async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const record = renamed(recordOf(from), (name) =>
      name.replace('content_encoder2.weight', 'content_encodr2.weight'),
    );
    const error = await errorOf(() => to.loadStateDict(record));
    expect(error.name).toBe('StateDictError');
    expect(error.code).toBe('ERR_STATE_KEYS');
    expect(error.message).toBe(
      'expected the 23 keys of freqfusion for stateDict, got 1 missing, 1 unexpected, 0 mismatched\n' +
        '  missing: content_encoder2.weight (nearest: content_encodr2.weight)\n' +
        '  unexpected: content_encodr2.weight (nearest: content_encoder2.weight)',
    );
    const bias = to.stateDict().get('content_encoder.bias')!.tensor();
    expect(distance(bias, zeros([25]))).toBe(0);
  });

  test('given strict false, then what fits is loaded and the rest is reported', async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const record = {
      ...without(recordOf(from), 'content_encoder.bias'),
      'content_encoder.weight': zeros([25, 8, 5, 5]),
      'dysampler.offset.bias': zeros([32], { dtype: 'int32' }),
      'conv_seg.weight': zeros([4]),
    };
    const report = await to.loadStateDict(record, { strict: false });
    expect(report.missing).toEqual(['content_encoder.bias']);
    expect(report.unexpected).toEqual(['conv_seg.weight']);
    expect(report.mismatched).toEqual([
      {
        name: 'content_encoder.weight',
        expected: { shape: [25, 8, 3, 3], dtype: 'float32' },
        actual: { shape: [25, 8, 5, 5], dtype: 'float32' },
      },
      {
        name: 'dysampler.offset.bias',
        expected: { shape: [32], dtype: 'float32' },
        actual: { shape: [32], dtype: 'int32' },
      },
    ]);
    expect(report.loaded).toHaveLength(20);
    const strict = await errorOf(() => to.loadStateDict(record));
    expect(strict.message).toContain('content_encoder.weight: expected [25, 8, 3, 3], got [25, 8, 5, 5]');
    expect(strict.message).toContain('dysampler.offset.bias: expected [32], got [32], int32 for float32');
  });

  test('given a prefix, then only its keys count', async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const record = { ...renamed(recordOf(from), (name) => `head.ff.${name}`), 'backbone.weight': zeros([1]) };
    const report = await to.loadStateDict(record, { prefix: 'head.ff.' });
    expect(report.unexpected).toEqual([]);
    expect(report.loaded).toHaveLength(23);
  });

  test('given a forgotten prefix, then the error says which one', async () => {
    using from = new FreqFusion(OPTIONS);
    using to = new FreqFusion(OPTIONS);
    const record = renamed(recordOf(from), (name) => `head.ff.${name}`);
    const error = await errorOf(() => to.loadStateDict(record));
    expect(error.message).toContain(
      'every key is there under the prefix "head.ff.": pass it as the option "prefix"',
    );
    expect(error.message).toContain('and 13 more');
  });

  test("given keys of DataParallel, then 'module.' is taken off", async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const report = await to.loadStateDict(renamed(recordOf(from), (name) => `module.${name}`));
    expect(report.loaded).toHaveLength(23);
  });

  test('given a snapshot before 2024-09-20, then old names are renamed and the windows may be missing', async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const record = renamed(without(recordOf(from), 'hamming_lowpass', 'hamming_highpass'), (name) =>
      name.replace('direct_scale', 'sim_direct'),
    );
    expect(Object.keys(record)).toContain('dysampler.hr_sim_direct.weight');
    const report = await to.loadStateDict(record);
    expect(report.renamed).toEqual([
      { from: 'dysampler.sim_direct.weight', to: 'dysampler.direct_scale.weight' },
      { from: 'dysampler.sim_direct.bias', to: 'dysampler.direct_scale.bias' },
      { from: 'dysampler.hr_sim_direct.weight', to: 'dysampler.hr_direct_scale.weight' },
      { from: 'dysampler.hr_sim_direct.bias', to: 'dysampler.hr_direct_scale.bias' },
    ]);
    expect(report.defaulted).toEqual(['hamming_lowpass', 'hamming_highpass']);
    const maps = { hrFeat: map('hr', [1, 6, 8, 8]), lrFeat: map('lr', [1, 8, 4, 4]) };
    expect(distance((await to.forward(maps)).lrFeat, (await from.forward(maps)).lrFeat)).toBe(0);
  });

  test('given float64 values, then they are converted to the dtype of the module', async () => {
    using to = new FreqFusion(OPTIONS);
    const values = tensor(new Float64Array(25).fill(0.1), [25]);
    await to.loadStateDict({ 'content_encoder.bias': values }, { strict: false });
    const bias = to.stateDict().get('content_encoder.bias')!.tensor();
    expect(bias.dtype).toBe('float32');
    expect(bias.slice(0, 0, 1).item()).toBe(Math.fround(0.1));
  });

  test('given a window that is not the Hamming window, then it is refused and the module keeps its own', async () => {
    using to = new FreqFusion(OPTIONS);
    const before = to.stateDict().get('hamming_lowpass')!.tensor().clone();
    const error = await errorOf(() =>
      to.loadStateDict(
        { hamming_lowpass: tensor(new Float32Array(25).fill(1), [1, 1, 5, 5]) },
        { strict: false },
      ),
    );
    expect(error.code).toBe('ERR_STATE_VALUE');
    expect(error.name).toBe('StateDictError');
    expect(error.message).toContain('the Hamming window for hamming_lowpass');
    expect(distance(to.stateDict().get('hamming_lowpass')!.tensor(), before)).toBe(0);
  });

  test('given something else, then a typed error', async () => {
    using to = new FreqFusion(OPTIONS);
    expect((await errorOf(() => to.loadStateDict('model.pth' as never))).code).toBe('ERR_TYPE');
    expect((await errorOf(() => to.loadStateDict({ a: 1 } as never))).code).toBe('ERR_TYPE');
    expect((await errorOf(() => to.loadStateDict({}, { strict: 'no' as never }))).code).toBe('ERR_TYPE');
  });

  test("given the caller's tensors, then loading leaves them alive and makes no others", async () => {
    using from = await fill(new FreqFusion(OPTIONS));
    using to = new FreqFusion(OPTIONS);
    const record = recordOf(from);
    const before = memoryStats().liveTensors;
    await to.loadStateDict(record);
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
    for (const value of Object.values(record)) {
      expect(value.disposed).toBe(false);
      value.dispose();
    }
  });
});

describe('stateDict', () => {
  test('given a module, then its tensors share its memory', async () => {
    using ff = new FreqFusion(OPTIONS);
    using view = ff.stateDict().get('content_encoder.bias')!.tensor();
    await ff.loadStateDict(
      { 'content_encoder.bias': tensor(new Float32Array(25).fill(2), [25]) },
      { strict: false },
    );
    expect(view.slice(0, 24, 25).item()).toBe(2);
  });

  test('given its bytes, then they are the elements', () => {
    using ff = new FreqFusion(OPTIONS);
    const dict = ff.stateDict();
    expect(dict).toBeInstanceOf(StateDict);
    const bytes = dict.get('hamming_highpass')!.bytes();
    expect(bytes.byteLength).toBe(36);
    expect(new Float32Array(bytes.slice().buffer)[4]).toBe(1);
  });
});

describe('life', () => {
  test('given dispose, then every use is ERR_DISPOSED, and a second dispose is allowed', async () => {
    const ff = new FreqFusion(OPTIONS);
    ff.dispose();
    ff.dispose();
    expect(ff.disposed).toBe(true);
    expect(`${ff}`).toBe('freqfusion (disposed)');
    for (const use of [
      () => ff.stateInfo(),
      () => ff.initialize(1),
      () => ff.to('float64'),
      () => ff.stateDict(),
    ]) {
      expect((await errorOf(use)).code).toBe('ERR_DISPOSED');
    }
  });

  test('given a scope, then a module made in it is freed with it', () => {
    const before = memoryStats().liveModules;
    const ff = scope(() => {
      new FreqFusion(OPTIONS);
      expect(memoryStats().liveModules).toBe(before + 1);
      return 0;
    });
    expect(ff).toBe(0);
    expect(memoryStats().liveModules).toBe(before);
  });

  test('given a module disposed while its job runs, then the job still ends well', async () => {
    const ff = await fill(new FreqFusion(OPTIONS));
    const running = ff.forward({ hrFeat: map('hr', [1, 6, 64, 64]), lrFeat: map('lr', [1, 8, 32, 32]) });
    ff.dispose();
    expect((await running).lrFeat.shape).toEqual([1, 8, 64, 64]);
  });

  test('given to() with a dtype, then floating-point state changes; an integer dtype is refused', async () => {
    using ff = new FreqFusion(OPTIONS);
    expect(await ff.to({ dtype: 'bfloat16', device: 'cpu' })).toBe(ff);
    expect(ff.stateInfo().every(({ dtype }) => dtype === 'bfloat16')).toBe(true);
    expect(`${ff}`).toBe('freqfusion on cpu, bfloat16');
    expect((await errorOf(() => ff.to('int32'))).code).toBe('ERR_DTYPE');
    expect((await errorOf(() => ff.to('tpu' as never))).code).toBe('ERR_DTYPE');
  });

  test.each([-1, 1.5, Number.NaN, '7' as never])('given the seed %p, then ERR_RANGE', async (seed) => {
    using ff = new FreqFusion(OPTIONS);
    expect((await errorOf(() => ff.initialize(seed))).code).toBe('ERR_RANGE');
  });
});

describe('nearestName', () => {
  test.each([
    [
      'content_encodr.weight',
      ['content_encoder.weight', 'content_encoder2.weight'],
      'content_encoder.weight',
    ],
    ['ff.content_encoder.bias', ['content_encoder.bias'], 'content_encoder.bias'],
    ['content_encoder.bias', ['head.ffs.0.content_encoder.bias'], 'head.ffs.0.content_encoder.bias'],
    ['backbone.block1.0.attn.proj_1.weight', ['conv_seg.bias'], undefined],
    ['a', [], undefined],
  ])('given %s among %j, then %s', (name, candidates, nearest) => {
    expect(nearestName(name, candidates)).toBe(nearest);
  });
});
