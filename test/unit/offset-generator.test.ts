import { offsetSampler } from '../../lib';
import { OffsetGenerator } from '../../lib/modules/offset-generator';
import { distance, errorOf, fill, map } from './synthetic';

function inputs(channels = 16, batch = 2) {
  return {
    hrX: map('hr', [batch, channels, 12, 14]),
    lrX: map('lr', [batch, channels, 6, 7]),
    feat2sample: map('feat', [batch, 12, 12, 14]),
  };
}

test('given defaults, then names and shapes are those of LocalSimGuidedSampler', () => {
  using generator = new OffsetGenerator({ inChannels: 16 });
  expect(generator.stateInfo().map(({ name, shape, kind }) => `${name} [${shape}] ${kind}`)).toEqual([
    'init_pos [1,32,1,1] buffer',
    'offset.weight [32,24,1,1] parameter',
    'offset.bias [32] parameter',
    'direct_scale.weight [32,24,1,1] parameter',
    'direct_scale.bias [32] parameter',
    'hr_offset.weight [8,24,1,1] parameter',
    'hr_offset.bias [8] parameter',
    'hr_direct_scale.weight [8,24,1,1] parameter',
    'hr_direct_scale.bias [8] parameter',
    'norm_hr.weight [16] parameter',
    'norm_hr.bias [16] parameter',
    'norm_lr.weight [16] parameter',
    'norm_lr.bias [16] parameter',
  ]);
});

test('given init_pos, then x alternates by column and y by row of the 2 x 2 block', () => {
  using generator = new OffsetGenerator({ inChannels: 16, groups: 2 });
  const position = Array.from(generator.stateDict().get('init_pos')!.tensor().dataSync() as Float32Array);
  const x = [-0.25, 0.25, -0.25, 0.25];
  const y = [-0.25, -0.25, 0.25, 0.25];
  expect(position).toEqual([...x, ...x, ...y, ...y]);
});

test('given weights of 0, then every pixel reads itself', async () => {
  using generator = new OffsetGenerator({ inChannels: 16 });
  const maps = inputs();
  const { offset, output } = await generator.forward(maps);
  expect(offset.shape).toEqual([2, 32, 6, 7]);
  expect(distance(output, maps.feat2sample)).toBeLessThan(1e-6);
});

test.each([
  { directionFeat: 'sim' },
  { directionFeat: 'sim_concat', useDirectScale: false },
  { groups: 2, kernelSize: 3, localWindow: 5, norm: false },
] as const)('given %j, then the output is the map read at the offset', async (options) => {
  using generator = await fill(new OffsetGenerator({ inChannels: 16, ...options }));
  const maps = inputs();
  const { offset, output } = await generator.forward(maps);
  const sampled = await offsetSampler(maps.feat2sample, offset, {
    groups: 'groups' in options ? options.groups : 4,
  });
  expect(distance(output, sampled)).toBe(0);
  expect(distance(output, maps.feat2sample)).toBeGreaterThan(0.1);
});

test('given stages, then hrSim and lrSim are what the offset convolutions see', async () => {
  using sim = await fill(new OffsetGenerator({ inChannels: 16, directionFeat: 'sim' }));
  using concat = await fill(new OffsetGenerator({ inChannels: 16 }));
  const { stages } = await sim.forward(inputs(), { stages: true });
  expect([stages.hrSim?.shape, stages.lrSim?.shape]).toEqual([
    [2, 8, 12, 14],
    [2, 8, 6, 7],
  ]);
  const { stages: both } = await concat.forward(inputs(), { stages: true });
  expect(both.hrSim?.shape).toEqual([2, 24, 12, 14]);
  expect(distance(both.hrSim!.slice(1, 16, 24).contiguous(), stages.hrSim!)).toBe(0);
});

test('given initialize, then offsets start near 0 and scales at 0, the same for a seed', async () => {
  using generator = await new OffsetGenerator({ inChannels: 64, kernelSize: 3 }).initialize(3);
  using again = await new OffsetGenerator({ inChannels: 64, kernelSize: 3 }).initialize(3);
  const values = (from: OffsetGenerator, name: string) =>
    Array.from(from.stateDict().get(name)!.tensor().dataSync() as Float32Array);
  const offsets = values(generator, 'offset.weight');
  const deviation = Math.sqrt(offsets.reduce((sum, value) => sum + value * value, 0) / offsets.length);
  expect(deviation / 0.001).toBeCloseTo(1, 1);
  expect(offsets).toEqual(values(again, 'offset.weight'));
  expect(new Set(values(generator, 'direct_scale.weight'))).toEqual(new Set([0]));
  expect(new Set(values(generator, 'norm_lr.weight'))).toEqual(new Set([1]));
});

describe('arguments', () => {
  const cases: [string, object, RegExp][] = [
    [
      'lr of another size',
      { lrX: map('lr', [2, 16, 6, 6]) },
      /exactly twice the height and width of lrX \[2, 16, 6, 6\]/,
    ],
    ['another batch', { lrX: map('lr', [1, 16, 6, 7]) }, /hrX/],
    [
      'channels that groups do not divide',
      { feat2sample: map('f', [2, 10, 12, 14]) },
      /a multiple of 4 channels/,
    ],
    ['a map of another size', { feat2sample: map('f', [2, 12, 6, 7]) }, /feat2sample, got \[2, 12, 6, 7\]/],
    ['other channels', { hrX: map('hr', [2, 8, 12, 14]) }, /16 channels for hrX/],
  ];
  test.each(cases)('given %s, then ERR_SHAPE', async (_, change, words) => {
    using generator = new OffsetGenerator({ inChannels: 16 });
    const error = await errorOf(() => generator.forward({ ...inputs(), ...change }));
    expect(error.code).toBe('ERR_SHAPE');
    expect(error.message).toMatch(words);
  });
});
