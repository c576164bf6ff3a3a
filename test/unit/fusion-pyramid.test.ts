import { cat, type Tensor } from '../../lib';
import { FreqFusion } from '../../lib/modules/freqfusion';
import { FusionPyramid, type PyramidInputs } from '../../lib/modules/fusion-pyramid';
import { distance, errorOf, fill, map } from './synthetic';

const FUSION = { compressedChannels: 8 } as const;

/** Maps x1 .. xL, each half of the one before, odd sides rounded up. */
function pyramid(channels: readonly number[], height = 16, width = 24): PyramidInputs<'float32'> {
  return Object.fromEntries(
    channels.map((count, i) => [
      `x${i + 1}`,
      map(`x${i + 1}`, [1, count, Math.ceil(height / 2 ** i), Math.ceil(width / 2 ** i)]),
    ]),
  );
}

/** A FreqFusion with the weights of one step of a pyramid. */
async function step(
  from: FusionPyramid,
  name: string,
  hrChannels: number,
  lrChannels: number,
): Promise<FreqFusion> {
  const ff = new FreqFusion({ ...FUSION, hrChannels, lrChannels });
  await ff.loadStateDict(from.stateDict(), { prefix: `${name}.` });
  return ff;
}

test("given 'concat', then it is FreqFusion step by step with the channels joined", async () => {
  using module = await fill(new FusionPyramid({ ...FUSION, channels: [4, 6, 10] }));
  const x = pyramid([4, 6, 10]);
  using ff1 = await step(module, 'ff1', 6, 10);
  using ff2 = await step(module, 'ff2', 4, 16);
  const first = await ff1.forward({ hrFeat: x.x2!, lrFeat: x.x3! });
  const y2 = cat([first.hrFeat, first.lrFeat], 1);
  const second = await ff2.forward({ hrFeat: x.x1!, lrFeat: y2 });
  const result = await module.forward(x);
  expect(Object.keys(result)).toEqual(['y1', 'y2']);
  expect(result.y1!.shape).toEqual([1, 20, 16, 24]);
  expect(distance(result.y2!, y2)).toBeLessThan(1e-5);
  expect(distance(result.y1!, cat([second.hrFeat, second.lrFeat], 1))).toBeLessThan(1e-5);
});

test("given 'add', then the last level uses FreqFusion's own hr", async () => {
  using module = await fill(new FusionPyramid({ ...FUSION, channels: 8, levels: 2, recipe: 'add' }));
  const x = pyramid([8, 8]);
  using ff1 = await step(module, 'ff1', 8, 8);
  const { hrFeat, lrFeat } = await ff1.forward({ hrFeat: x.x1!, lrFeat: x.x2! });
  const sum = (hrFeat.dataSync() as Float32Array).map((value, i) => value + (lrFeat.dataSync()[i] as number));
  const { y1 } = await module.forward(x);
  const worst = (y1!.dataSync() as Float32Array).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - sum[i]!)),
    0,
  );
  expect(worst).toBeLessThan(1e-5);
});

test("given 'unet', then each level keeps its channels and names its convolution after itself", async () => {
  using module = await new FusionPyramid({ ...FUSION, channels: [4, 6, 8, 12], recipe: 'unet' }).initialize(
    1,
  );
  const convolutions = module.stateInfo().filter(({ name }) => name.startsWith('conv'));
  expect(convolutions.map(({ name, shape }) => `${name} [${shape}]`)).toEqual([
    'conv3.weight [8,20,3,3]',
    'conv3.bias [8]',
    'conv2.weight [6,14,3,3]',
    'conv2.bias [6]',
    'conv1.weight [4,10,3,3]',
    'conv1.bias [4]',
  ]);
  const result = await module.forward(pyramid([4, 6, 8, 12]));
  expect(Object.entries(result as Record<string, Tensor>).map(([name, { shape }]) => [name, shape])).toEqual([
    ['y1', [1, 4, 16, 24]],
    ['y2', [1, 6, 8, 12]],
    ['y3', [1, 8, 4, 6]],
  ]);
});

test("given odd sizes, then sizePolicy 'pad' fuses them, and 'strict' says which levels do not fit", async () => {
  const channels = [4, 4, 4, 4];
  using padding = await fill(new FusionPyramid({ ...FUSION, channels, sizePolicy: 'pad' }));
  const x = pyramid(channels, 27, 21);
  const result = await padding.forward(x);
  expect(Object.values(result as Record<string, Tensor>).map(({ shape }) => shape)).toEqual([
    [1, 16, 27, 21],
    [1, 12, 14, 11],
    [1, 8, 7, 6],
  ]);
  using strict = await fill(new FusionPyramid({ ...FUSION, channels }));
  const error = await errorOf(() => strict.forward(x));
  expect(error.code).toBe('ERR_SHAPE');
  expect(error.message).toContain('(hrFeat is x3, lrFeat is x4)');
});

test('given stages, then every step shows its results', async () => {
  using module = await fill(new FusionPyramid({ ...FUSION, channels: 4, levels: 3 }));
  const { stages } = await module.forward(pyramid([4, 4, 4]), { stages: true });
  expect(Object.keys(stages)).toEqual([
    'ff1.maskLr',
    'ff1.hrFeat',
    'ff1.lrFeat',
    'ff2.maskLr',
    'ff2.hrFeat',
    'ff2.lrFeat',
  ]);
});

test('given one seed, then the same weights; convolutions start as in PyTorch', async () => {
  const make = (seed: number) =>
    new FusionPyramid({ ...FUSION, channels: 16, levels: 2, recipe: 'unet' }).initialize(seed);
  using a = await make(5);
  using b = await make(5);
  const weight = a.stateDict().get('conv1.weight')!.tensor();
  expect(distance(weight, b.stateDict().get('conv1.weight')!.tensor())).toBe(0);
  const largest = Math.max(...Array.from(weight.dataSync() as Float32Array, Math.abs));
  expect(largest).toBeLessThanOrEqual(1 / Math.sqrt(32 * 9));
  expect(largest).toBeGreaterThan(0.98 / Math.sqrt(32 * 9));
});

test('given a missing level or wrong channels, then a typed error', async () => {
  using module = new FusionPyramid({ ...FUSION, channels: 4, levels: 3 });
  const { x1, x2 } = pyramid([4, 4, 4]);
  const missing = await errorOf(() => module.forward({ x1: x1!, x2: x2! }));
  expect(missing.message).toContain('x3');
  const wrong = await errorOf(() => module.forward(pyramid([4, 5, 4])));
  expect([wrong.code, wrong.message]).toEqual(['ERR_SHAPE', expect.stringContaining('4 channels for x2')]);
});
