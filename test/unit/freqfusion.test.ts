import { memoryStats, scope, type Tensor } from '../../lib';
import { FreqFusion, type FreqFusionOptions } from '../../lib/modules/freqfusion';
import { distance, errorOf, fill, map } from './synthetic';

const SMALL = { hrChannels: 6, lrChannels: 8, compressedChannels: 8 } as const;
const RESAMPLED = { ...SMALL, featureResample: true } as const;

function inputs(hr: readonly [number, number] = [12, 16], lr: readonly [number, number] = [6, 8], batch = 1) {
  return { hrFeat: map('hr', [batch, 6, ...hr]), lrFeat: map('lr', [batch, 8, ...lr]) };
}

const filled = (options: FreqFusionOptions) => fill(new FreqFusion(options));

describe('state', () => {
  test('given every part, then names, order and shapes are those of the PyTorch state dict', () => {
    using ff = new FreqFusion({
      hrChannels: 12,
      lrChannels: 20,
      compressedChannels: 16,
      featureResample: true,
    });
    expect(ff.stateInfo().map(({ name, shape }) => [name, shape])).toEqual([
      ['hamming_lowpass', [1, 1, 5, 5]],
      ['hamming_highpass', [1, 1, 3, 3]],
      ['hr_channel_compressor.weight', [16, 12, 1, 1]],
      ['hr_channel_compressor.bias', [16]],
      ['lr_channel_compressor.weight', [16, 20, 1, 1]],
      ['lr_channel_compressor.bias', [16]],
      ['content_encoder.weight', [25, 16, 3, 3]],
      ['content_encoder.bias', [25]],
      ['dysampler.init_pos', [1, 32, 1, 1]],
      ['dysampler.offset.weight', [32, 24, 3, 3]],
      ['dysampler.offset.bias', [32]],
      ['dysampler.direct_scale.weight', [32, 24, 3, 3]],
      ['dysampler.direct_scale.bias', [32]],
      ['dysampler.hr_offset.weight', [8, 24, 3, 3]],
      ['dysampler.hr_offset.bias', [8]],
      ['dysampler.hr_direct_scale.weight', [8, 24, 3, 3]],
      ['dysampler.hr_direct_scale.bias', [8]],
      ['dysampler.norm_hr.weight', [16]],
      ['dysampler.norm_hr.bias', [16]],
      ['dysampler.norm_lr.weight', [16]],
      ['dysampler.norm_lr.bias', [16]],
      ['content_encoder2.weight', [9, 16, 3, 3]],
      ['content_encoder2.bias', [9]],
    ]);
  });

  test('given the defaults with 64 channels everywhere, then there are 27,938 parameters', () => {
    using ff = new FreqFusion({ hrChannels: 64, lrChannels: 64 });
    expect(ff.parameterCount).toBe(27938);
  });

  test('given no Hamming window and no high-pass filter, then both windows are [1] and content_encoder2 is absent', () => {
    using ff = new FreqFusion({ ...SMALL, hammingWindow: false, useHighPass: false, semiConv: false });
    const names = ff.stateInfo().map(({ name, shape }) => `${name} ${shape.join('x')}`);
    expect(names.slice(0, 2)).toEqual(['hamming_lowpass 1', 'hamming_highpass 1']);
    expect(names.some((name) => name.startsWith('content_encoder2'))).toBe(false);
  });
});

describe('flows', () => {
  test('given no high-pass filter, then hr comes back as it was', async () => {
    using ff = await filled({ ...SMALL, useHighPass: false, compFeatUpsample: false });
    const maps = inputs();
    expect(distance((await ff.forward(maps)).hrFeat, maps.hrFeat)).toBe(0);
  });

  test('given hrResidual false, then hrFeat is the detail alone', async () => {
    using whole = await filled(SMALL);
    using detail = await filled({ ...SMALL, hrResidual: false });
    const maps = inputs();
    const [a, b] = [await whole.forward(maps), await detail.forward(maps)];
    const sum = (b.hrFeat.dataSync() as Float32Array).map(
      (value, i) => value + (maps.hrFeat.dataSync()[i] as number),
    );
    const worst = (a.hrFeat.dataSync() as Float32Array).reduce(
      (m, value, i) => Math.max(m, Math.abs(value - sum[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-6);
  });

  test.each(['nearest-exact', 'bilinear', 'bicubic', 'area'] as const)(
    'given maps of one size and upsampleMode %s, then it equals nearest',
    async (upsampleMode) => {
      using ff = await filled({ ...SMALL, semiConv: false, upsampleMode });
      using nearest = await filled({ ...SMALL, semiConv: false });
      const maps = inputs([9, 7], [9, 7]);
      expect(distance((await ff.forward(maps)).lrFeat, (await nearest.forward(maps)).lrFeat)).toBeLessThan(
        1e-6,
      );
    },
  );

  test("given upsampleMode 'area' and twice the size, then it equals nearest, and 'bicubic' does not", async () => {
    const lrOf = async (upsampleMode: 'nearest' | 'area' | 'bicubic') => {
      using ff = await filled({ ...SMALL, semiConv: false, upsampleMode });
      return (await ff.forward(inputs())).lrFeat;
    };
    const nearest = await lrOf('nearest');
    expect(distance(await lrOf('area'), nearest)).toBeLessThan(1e-6);
    expect(distance(await lrOf('bicubic'), nearest)).toBeGreaterThan(1e-2);
  });

  test('given the parts one by one, then they are what forward is made of', async () => {
    using ff = await filled(RESAMPLED);
    const maps = inputs([12, 16], [6, 8], 2);
    const { stages, ...whole } = await ff.forward(maps, { stages: true });
    const low = await ff.lowPassFilter(maps);
    const high = await ff.highPassFilter(maps);
    const offsets = await ff.offsetGenerator(maps);
    expect(distance(low.maskLr, whole.maskLr)).toBe(0);
    expect(distance(high.hrFeat, whole.hrFeat)).toBe(0);
    expect(distance(high.maskHr, stages.kernelNormalizerOut4!)).toBe(0);
    expect(distance(offsets.lrFeat, whole.lrFeat)).toBe(0);
    expect(distance(offsets.offset, stages.offset!)).toBe(0);
    const own = await ff.offsetGenerator({
      hrX: stages.compressedHrEnhanced!,
      lrX: stages.compressedLr!,
      feat2sample: low.lrFeat,
    });
    expect(distance(own.lrFeat, whole.lrFeat)).toBe(0);
  });

  test('given stages, then they have the names of the calls of the reference, and no stages without', async () => {
    using ff = await filled(SMALL);
    const { stages } = await ff.forward(inputs(), { stages: true });
    expect(Object.keys(stages)).toEqual([
      'compressedHr',
      'compressedLr',
      'contentEncoder2Call0',
      'kernelNormalizerIn0',
      'kernelNormalizerOut0',
      'compressedHrEnhanced',
      'contentEncoderCall0',
      'kernelNormalizerIn1',
      'kernelNormalizerOut1',
      'contentEncoderCall1',
      'kernelNormalizerIn2',
      'kernelNormalizerOut2',
      'kernelNormalizerIn3',
      'kernelNormalizerOut3',
      'contentEncoder2Call1',
      'kernelNormalizerIn4',
      'kernelNormalizerOut4',
    ]);
    expect(Object.keys(await ff.forward(inputs()))).toEqual(['maskLr', 'hrFeat', 'lrFeat']);
  });

  test('given kernels, then they sum to 1 over their taps, group by group', async () => {
    using ff = await filled({ ...SMALL, upGroup: 2 });
    const { maskLr } = await ff.forward(inputs());
    expect(maskLr.shape).toEqual([1, 50, 12, 16]);
    const values = maskLr.dataSync() as Float32Array;
    for (const group of [0, 1]) {
      let sum = 0;
      for (let tap = 0; tap < 25; tap += 1) sum += values[(group * 25 + tap) * 192 + 77]!;
      expect(sum).toBeCloseTo(1, 5);
    }
  });
});

describe('element types and layouts', () => {
  test.each([
    ['float64', 1e-5],
    ['bfloat16', 0.15],
    ['float16', 0.02],
  ] as const)('given a module in %s, then it agrees with float32 to %d', async (dtype, tolerance) => {
    using ff = await filled(RESAMPLED);
    const maps = inputs();
    const expected = await ff.forward(maps);
    await ff.to(dtype);
    expect(ff.dtype).toBe(dtype);
    const result = await ff.forward({ hrFeat: maps.hrFeat.to(dtype), lrFeat: maps.lrFeat.to(dtype) });
    expect(result.lrFeat.dtype).toBe(dtype);
    for (const name of ['maskLr', 'hrFeat', 'lrFeat'] as const) {
      expect(distance(result[name].to('float32'), expected[name])).toBeLessThan(tolerance);
    }
  });

  test('given channels-last and sliced maps, then the results are the same', async () => {
    using ff = await filled(RESAMPLED);
    const maps = inputs();
    const expected = await ff.forward(maps);
    const last = await ff.forward({
      hrFeat: maps.hrFeat.contiguous('channels-last'),
      lrFeat: maps.lrFeat.contiguous('channels-last'),
    });
    const wide = map('hr', [1, 6, 12, 16]);
    const sliced = await ff.forward({
      hrFeat: wide.permute([0, 1, 3, 2]).contiguous().permute([0, 1, 3, 2]),
      lrFeat: maps.lrFeat,
    });
    for (const name of ['maskLr', 'hrFeat', 'lrFeat'] as const) {
      expect(distance(last[name], expected[name])).toBeLessThan(1e-5);
      expect(distance(sliced[name], expected[name])).toBeLessThan(1e-5);
    }
  });
});

describe('arguments', () => {
  const cases: [string, (ff: FreqFusion) => unknown, string, RegExp][] = [
    ['no inputs', (ff) => ff.forward(undefined as never), 'ERR_TYPE', /\{ hrFeat, lrFeat \}/],
    [
      'a missing map',
      (ff) => ff.forward({ hrFeat: inputs().hrFeat } as never),
      'ERR_TYPE',
      /a Tensor for lrFeat, got undefined/,
    ],
    [
      'wrong channels',
      (ff) => ff.forward({ ...inputs(), hrFeat: map('x', [1, 7, 12, 16]) }),
      'ERR_SHAPE',
      /6 channels for hrFeat/,
    ],
    ['a rank of 3', (ff) => ff.forward({ ...inputs(), lrFeat: map('x', [8, 6, 8]) }), 'ERR_SHAPE', /lrFeat/],
    [
      'another batch',
      (ff) => ff.forward({ ...inputs(), lrFeat: map('x', [2, 8, 6, 8]) }),
      'ERR_SHAPE',
      /the batch of hrFeat/,
    ],
    [
      'mixed dtypes',
      (ff) => ff.forward({ ...inputs(), lrFeat: inputs().lrFeat.to('float64') as Tensor as never }),
      'ERR_DTYPE',
      /float32.*float64/,
    ],
    [
      "a dtype that is not the module's",
      (ff) => ff.forward({ hrFeat: inputs().hrFeat.to('float64'), lrFeat: inputs().lrFeat.to('float64') }),
      'ERR_DTYPE',
      /float32, the dtype of the module for hrFeat, got float64/,
    ],
    ['an empty map', (ff) => ff.forward(inputs([0, 16], [0, 8])), 'ERR_SHAPE', /H, W >= 1/],
    ['no offset generator', (ff) => ff.offsetGenerator(inputs()), 'ERR_NOT_SUPPORTED', /featureResample/],
    [
      'a stages that is no boolean',
      (ff) => ff.forward(inputs(), { stages: 1 as never }),
      'ERR_TYPE',
      /stages/,
    ],
  ];
  test.each(cases)('given %s, then a typed error', async (_, run, code, words) => {
    using ff = await filled(SMALL);
    const error = await errorOf(() => run(ff));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(words);
  });

  test('given an aborted signal, then forward rejects with AbortError', async () => {
    using ff = await filled(SMALL);
    const error = await errorOf(() => ff.forward(inputs(), { signal: AbortSignal.abort() }));
    expect(error.code).toBe('ERR_ABORTED');
  });
});

describe('initialize', () => {
  test('given one seed twice and another, then weights are the same and others', async () => {
    using a = await new FreqFusion(RESAMPLED).initialize(7);
    using b = await new FreqFusion(RESAMPLED).initialize(7);
    using c = await new FreqFusion(RESAMPLED).initialize(8);
    for (const { name } of a.stateInfo()) {
      const value = a.stateDict().get(name)!.tensor();
      expect(distance(value, b.stateDict().get(name)!.tensor())).toBe(0);
      const drawn = name.endsWith('.weight') && !name.includes('norm');
      expect(distance(value, c.stateDict().get(name)!.tensor()) > 0).toBe(drawn);
    }
  });

  test("given the reference's rule, then xavier everywhere (the sampler too) and normal(0, 0.001) in the encoders", async () => {
    using ff = await new FreqFusion({ hrChannels: 64, lrChannels: 96, featureResample: true }).initialize(1);
    const values = (name: string) =>
      Array.from(ff.stateDict().get(name)!.tensor().dataSync() as Float32Array);
    const deviation = (list: number[]) =>
      Math.sqrt(list.reduce((sum, value) => sum + value * value, 0) / list.length);
    const xavier = {
      'hr_channel_compressor.weight': 128,
      'lr_channel_compressor.weight': 160,
      'dysampler.offset.weight': (72 + 32) * 9,
    };
    for (const [name, fans] of Object.entries(xavier)) {
      const bound = Math.sqrt(6 / fans);
      const list = values(name);
      expect(Math.max(...list.map(Math.abs))).toBeLessThanOrEqual(bound);
      expect(Math.max(...list.map(Math.abs))).toBeGreaterThan(0.98 * bound);
      expect(deviation(list)).toBeCloseTo(bound / Math.sqrt(3), 2);
    }
    for (const name of ['content_encoder.weight', 'content_encoder2.weight']) {
      expect(deviation(values(name)) / 0.001).toBeCloseTo(1, 1);
    }
    for (const { name } of ff.stateInfo()) {
      if (name.endsWith('.bias')) expect(Math.max(...values(name).map(Math.abs))).toBe(0);
      if (name.includes('norm_') && name.endsWith('.weight'))
        expect(new Set(values(name))).toEqual(new Set([1]));
    }
  });
});

describe('optionsFromStateDict', () => {
  const choices: Partial<FreqFusionOptions>[] = [
    {},
    { compressedChannels: 16, lowpassKernel: 7, highpassKernel: 5, encoderKernel: 5 },
    { hammingWindow: false },
    { upGroup: 2 },
    { upGroup: 2, hammingWindow: false, lowpassKernel: 3, highpassKernel: 3 },
    { useHighPass: false, compFeatUpsample: false, highpassKernel: 7 },
    { featureResample: true },
    { featureResample: true, featureResampleGroup: 2, featureResampleNorm: false, directionFeat: 'sim' },
    { featureResample: true, compressedChannels: 16, directionFeat: 'sim', encoderKernel: 1 },
    { featureResample: true, compressedChannels: 4, directionFeat: 'sim', featureResampleNorm: false },
  ];
  test.each(choices)(
    'given a module made with %j, then a module made from its state dict is the same',
    async (choice) => {
      const options = { ...SMALL, ...choice };
      using ff = await filled(options);
      const found = FreqFusion.optionsFromStateDict(ff.stateDict());
      expect(found).toMatchObject(options);
      using copy = new FreqFusion(found);
      expect(copy.stateInfo()).toEqual(ff.stateInfo());
    },
  );

  test('given keys of something else, then the error names the first key that is not there', async () => {
    using ff = new FreqFusion(SMALL);
    const error = await errorOf(() => FreqFusion.optionsFromStateDict(ff.stateDict(), 'decode_head.'));
    expect(error.code).toBe('ERR_STATE_KEYS');
    expect(error.message).toContain('decode_head.hr_channel_compressor.weight');
  });
});

test('given a hundred forwards in scopes, then no native handle is left', async () => {
  const before = memoryStats();
  await scope(async () => {
    const ff = await filled(RESAMPLED);
    for (let i = 0; i < 100; i += 1) await scope(() => ff.forward(inputs(), { stages: i % 2 === 0 }));
  });
  const after = memoryStats();
  // At most: the collector may free what earlier tests left to it.
  expect(after.liveTensors).toBeLessThanOrEqual(before.liveTensors);
  expect(after.liveModules).toBeLessThanOrEqual(before.liveModules);
});
