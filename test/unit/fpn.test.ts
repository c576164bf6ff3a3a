import { type Tensor, tensor, zeros } from '../../lib';
import { Fpn, type FpnInputs, type FpnOptions, type UpsampleConfig } from '../../lib/modules/fpn';
import { FreqFusion } from '../../lib/modules/freqfusion';
import { distance, errorOf, fill, map } from './synthetic';

const CHANNELS = [4, 6, 8] as const;
const PLAIN = { inChannels: CHANNELS, outChannels: 8, numOuts: 4 } as const;
const FUSION = {
  ...PLAIN,
  type: 'FreqFusionCARAFEFPN',
  outChannels: 32,
  compressRatio: 4,
  featureResampleGroup: 4,
} as const;

/** Maps c2 .. cL, each half of the one before, odd sides rounded up. */
function levels(
  height: number,
  width: number,
  batch = 1,
  channels: readonly number[] = CHANNELS,
): FpnInputs<'float32'> {
  return Object.fromEntries(
    channels.map((count, i) => [
      `c${i + 2}`,
      map(`c${i + 2}`, [batch, count, Math.ceil(height / 2 ** i), Math.ceil(width / 2 ** i)]),
    ]),
  );
}

const shapes = (outputs: object) =>
  Object.values(outputs as Record<string, Tensor>).map(({ shape }) => shape);
const added = (options: FpnOptions) => {
  using neck = new Fpn(options);
  return neck
    .stateInfo()
    .filter(({ name }) => name.startsWith('upsample_modules.0.'))
    .map(({ name, shape }) => `${name.slice('upsample_modules.0.'.length)} ${shape.join('x')}`);
};

describe('FPN', () => {
  test('given odd sizes, then levels keep theirs, and further ones are every other pixel', async () => {
    using neck = await fill(new Fpn({ ...PLAIN, numOuts: 5 }));
    const result = await neck.forward(levels(17, 25));
    expect(Object.keys(result)).toEqual(['p2', 'p3', 'p4', 'p5', 'p6']);
    expect(shapes(result)).toEqual([
      [1, 8, 17, 25],
      [1, 8, 9, 13],
      [1, 8, 5, 7],
      [1, 8, 3, 4],
      [1, 8, 2, 2],
    ]);
    const [p4, p5] = [result.p4!.dataSync(), result.p5!.dataSync()];
    expect([p5[0], p5[1], p5[4]]).toEqual([p4[0], p4[2], p4[14]]);
  });

  test('given zeros in all levels but the coarsest, then the finest takes it in through nearest resizing', async () => {
    using neck = await fill(new Fpn({ ...PLAIN, numOuts: 3 }));
    const first = await neck.forward(levels(16, 16));
    const changed = await neck.forward({ ...levels(16, 16), c4: map('other', [1, 8, 4, 4]) });
    expect(distance(first.p2!, changed.p2!)).toBeGreaterThan(1e-3);
  });

  test('given a batch, then every image gives what it gives alone', async () => {
    using neck = await fill(new Fpn(PLAIN));
    const both = levels(12, 20, 2);
    const together = await neck.forward(both);
    const second = Object.fromEntries(
      Object.entries(both).map(([name, value]) => [name, value.slice(0, 1, 2)]),
    );
    const alone = await neck.forward(second as FpnInputs<'float32'>);
    expect(distance(alone.p2!, together.p2!.slice(0, 1, 2))).toBeLessThan(1e-5);
  });

  test('given full width, then 3,344,384 parameters', () => {
    using neck = new Fpn({ inChannels: [256, 512, 1024, 2048] });
    expect(neck.parameterCount).toBe(3_344_384);
  });
});

describe('FPN_CARAFE', () => {
  const typed = (upsampleCfg?: UpsampleConfig): FpnOptions => ({
    ...PLAIN,
    type: 'FPN_CARAFE',
    ...(upsampleCfg === undefined ? {} : { upsampleCfg }),
  });

  test('given an upsample type, then its parameters under the names of the reference', () => {
    expect(added(typed({ type: 'nearest' }))).toEqual([]);
    expect(added(typed({ type: 'bilinear' }))).toEqual([]);
    expect(added(typed({ type: null }))).toEqual([]);
    expect(added(typed({ type: 'deconv', upsampleKernel: 2 }))).toEqual(['weight 8x8x2x2', 'bias 8']);
    expect(added(typed({ type: 'pixel_shuffle' }))).toEqual([
      'upsample_conv.weight 32x8x3x3',
      'upsample_conv.bias 32',
    ]);
    const carafe = [
      'channel_compressor.weight 64x8x1x1',
      'channel_compressor.bias 64',
      'content_encoder.weight 100x64x3x3',
      'content_encoder.bias 100',
    ];
    expect(added(typed({ type: 'carafe' }))).toEqual(carafe);
    expect(added(typed())).toEqual(carafe);
  });

  test('given a number of results, then one upsampler a step', () => {
    using neck = new Fpn({ ...PLAIN, type: 'FPN_CARAFE', numOuts: 5 });
    const indices = neck.stateInfo().map(({ name }) => /^upsample_modules\.(\d)/.exec(name)?.[1]);
    expect([...new Set(indices)]).toEqual([undefined, '0', '1', '2', '3']);
    expect(neck.stateInfo().find(({ name }) => name === 'lateral_convs.4.conv.weight')?.shape).toEqual([
      8, 8, 3, 3,
    ]);
  });

  test.each([
    [{ type: 'nearest' }],
    [{ type: 'bilinear' }],
    [{ type: 'deconv', upsampleKernel: 2 }],
    [{ type: 'deconv', upsampleKernel: 3 }],
    [{ type: 'deconv', upsampleKernel: 4 }],
    [{ type: 'pixel_shuffle', upsampleKernel: 1 }],
    [{ type: 'carafe', upKernel: 3, upGroup: 2 }],
  ] as [UpsampleConfig][])('given %j and odd sizes, then what has grown is cropped', async (upsampleCfg) => {
    using neck = await fill(new Fpn(typed(upsampleCfg)));
    const result = await neck.forward(levels(13, 22));
    expect(shapes(result)).toEqual([
      [1, 8, 13, 22],
      [1, 8, 7, 11],
      [1, 8, 4, 6],
      [1, 8, 2, 3],
    ]);
    await neck.initialize(1);
    const other = await neck.forward(levels(13, 22));
    expect(distance(result.p2!, other.p2!)).toBeGreaterThan(1e-3);
  });

  test('given type null, then levels of one size are added, and others are refused', async () => {
    using neck = await fill(new Fpn({ ...typed({ type: null }), numOuts: 3 } as FpnOptions));
    const same = Object.fromEntries(
      CHANNELS.map((count, i) => [`c${i + 2}`, map(`c${i + 2}`, [1, count, 5, 6])]),
    );
    expect(shapes(await neck.forward(same))).toEqual(new Array(3).fill([1, 8, 5, 6]));
    const error = await errorOf(() => neck.forward(levels(8, 8)));
    expect(error.code).toBe('ERR_SHAPE');
  });
});

describe('FreqFusionCARAFEFPN', () => {
  test('given full width, then the parameters that the published detectors have', () => {
    using neck = new Fpn({
      type: 'FreqFusionCARAFEFPN',
      inChannels: [256, 512, 1024, 2048],
      featureResampleGroup: 4,
      featureResampleNorm: false,
    });
    // The stock FPN, the further lateral and output, and four FreqFusions.
    expect(neck.parameterCount).toBe(3_344_384 + 4_718_848 + 590_080 + 4 * 104_434);
  });

  test('given convolutions that pass their input on, then the finer result is the sum that FreqFusion gives', async () => {
    using neck = await fill(new Fpn({ ...FUSION, inChannels: [32, 32], numOuts: 2 }));
    const identity = (side: number) => {
      const weight = new Float32Array(32 * 32 * side * side);
      const middle = (side * side - 1) / 2;
      for (let i = 0; i < 32; i += 1) weight[(i * 32 + i) * side * side + middle] = 1;
      return tensor(weight, [32, 32, side, side]);
    };
    const passing = [0, 1].flatMap((i) => [
      [`lateral_convs.${i}.conv.weight`, identity(1)],
      [`lateral_convs.${i}.conv.bias`, zeros([32])],
      [`fpn_convs.${i}.conv.weight`, identity(3)],
      [`fpn_convs.${i}.conv.bias`, zeros([32])],
    ]);
    await neck.loadStateDict(Object.fromEntries(passing), { strict: false });
    using fusion = new FreqFusion({
      hrChannels: 32,
      lrChannels: 32,
      compressedChannels: 16,
      featureResample: true,
    });
    await fusion.loadStateDict(neck.stateDict(), { prefix: 'alignment.0.' });
    const { c2, c3 } = levels(8, 12, 1, [32, 32]);
    const { p2, p3 } = await neck.forward({ c2: c2!, c3: c3! });
    const { hrFeat, lrFeat } = await fusion.forward({ hrFeat: c2!, lrFeat: c3! });
    const low = lrFeat.dataSync();
    const sum = tensor(
      hrFeat.dataSync().map((value, i) => value + low[i]!),
      p2!.shape,
    );
    expect(distance(p2!, sum)).toBeLessThan(1e-5);
    expect(distance(p3!, c3!)).toBeLessThan(1e-6);
  });

  test('given levels that do not halve, then which ones, and padding where it is asked for', async () => {
    using strict = await fill(new Fpn(FUSION));
    const error = await errorOf(() => strict.forward(levels(20, 16)));
    expect([error.code, error.message]).toEqual([
      'ERR_SHAPE',
      expect.stringContaining('(hrFeat is the lateral of p4, lrFeat that of p5; images of multiples of 64'),
    ]);
    using padding = await fill(new Fpn({ ...FUSION, sizePolicy: 'pad' as const }));
    expect(shapes(await padding.forward(levels(20, 16)))[0]).toEqual([1, 32, 20, 16]);
  });

  test.each(['float64', 'bfloat16'] as const)('given %s, then the result is near float32', async (dtype) => {
    using neck = await fill(new Fpn(FUSION));
    const given = levels(16, 24);
    const exact = (await neck.forward(given)).p2!;
    await neck.to(dtype);
    const converted = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value.to(dtype)]),
    );
    const { p2 } = await neck.forward(converted);
    expect(p2!.dtype).toBe(dtype);
    const scale = Math.max(...Array.from(exact.dataSync() as Float32Array, Math.abs));
    expect(distance(p2!.to('float32'), exact) / scale).toBeLessThan(dtype === 'float64' ? 1e-4 : 0.3);
  });

  test('given the inputs of a forward, then they are as they were', async () => {
    using neck = await fill(new Fpn(FUSION));
    const given = levels(16, 24);
    const before = Object.values(given).map((value) => Float32Array.from(value.dataSync()));
    await neck.forward(given);
    expect(Object.values(given).map((value) => value.dataSync())).toEqual(before);
  });
});

describe('errors', () => {
  test.each([
    [{ inChannels: [] }, 'ERR_OPTION_VALUE', '1 to 16 levels for inChannels'],
    [{ ...PLAIN, numOuts: 2 }, 'ERR_OPTION_VALUE', 'from 3, the number of levels, to 32 for numOuts'],
    [{ ...PLAIN, outChannels: 0 }, 'ERR_OPTION_VALUE', 'an integer from 1 for outChannels'],
    [{ ...PLAIN, type: 'PAFPN' }, 'ERR_OPTION_VALUE', 'type'],
    [{ ...PLAIN, upsampleCfg: { type: 'nearest' } }, 'ERR_OPTION_UNKNOWN', 'upsampleCfg'],
    [
      { ...PLAIN, type: 'FPN_CARAFE', upsampleCfg: { type: 'dysample' } },
      'ERR_OPTION_VALUE',
      'upsampleCfg.type',
    ],
    [
      { ...PLAIN, type: 'FPN_CARAFE', upsampleCfg: { type: 'deconv', upsampleKernel: 5 } },
      'ERR_OPTION_VALUE',
      'from 2 to 4 for upsampleCfg.upsampleKernel',
    ],
    [
      { ...PLAIN, type: 'FPN_CARAFE', upsampleCfg: { type: 'carafe', upGroup: 3 } },
      'ERR_OPTION_VALUE',
      'a divisor of 8 channels for upGroup',
    ],
    [{ ...FUSION, numOuts: 5 }, 'ERR_OPTION_VALUE', '3 or 4 (FreqFusionCARAFEFPN has one module'],
    [{ ...FUSION, compressRatio: 0 }, 'ERR_OPTION_VALUE', 'compressRatio'],
    [{ ...FUSION, compressedChannels: 8 }, 'ERR_OPTION_UNKNOWN', 'compressedChannels'],
  ])('given %j, then %s', async (options, code, words) => {
    const error = await errorOf(() => new Fpn(options as unknown as FpnOptions));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(words)]);
  });

  test('given a missing level or one of other channels, then a typed error', async () => {
    using neck = new Fpn(PLAIN);
    const { c2, c3, c4 } = levels(8, 8);
    const missing = await errorOf(() => neck.forward({ c2: c2!, c3: c3! }));
    expect([missing.code, missing.message]).toEqual(['ERR_TYPE', expect.stringContaining('c4')]);
    const wrong = await errorOf(() => neck.forward({ c2: c2!, c3: c4!, c4: c4! }));
    expect([wrong.code, wrong.message]).toEqual(['ERR_SHAPE', expect.stringContaining('6 channels for c3')]);
  });
});
