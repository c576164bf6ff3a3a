import { SegNeXt } from '../../lib';
import { distance, map } from './synthetic';

// Inference computes with weights that are derived from the state. What they were derived from may change.

const BACKBONE = { embedDims: [8, 12, 16, 20], mlpRatios: [2, 2, 2, 2], depths: [1, 1, 1, 1] } as const;
const HEAD = {
  type: 'LightHamHead',
  inChannels: [12, 16, 20],
  channels: 32,
  numClasses: 5,
  hamKwargs: { mdR: 4, evalSteps: 2 },
} as const;

const started = (seed: number) => new SegNeXt({ backbone: BACKBONE, head: HEAD }).initialize(seed);

async function logitsOf(network: SegNeXt, dtype: 'float32' | 'float64' = 'float32') {
  using plain = map('image', [1, 3, 64, 64]);
  using image = plain.to(dtype);
  const { logits } = await network.forward({ image });
  using native = logits;
  return native.to('float32');
}

test('given a forward pass, when another state is loaded, then the next pass computes with it', async () => {
  using network = await started(1);
  using other = await started(2);
  using before = await logitsOf(network);
  using wanted = await logitsOf(other);
  expect(distance(before, wanted)).toBeGreaterThan(1e-4);
  await network.loadStateDict(other.stateDict());
  using after = await logitsOf(network);
  expect(distance(after, wanted)).toBe(0);
});

test('given a forward pass, when the module is initialised again, then the next pass computes with that', async () => {
  using network = await started(1);
  using first = await logitsOf(network);
  await network.initialize(2);
  using second = await logitsOf(network);
  using fresh = await started(2);
  using wanted = await logitsOf(fresh);
  expect(distance(second, wanted)).toBe(0);
  expect(distance(second, first)).toBeGreaterThan(1e-4);
});

test('given a forward pass, when the module is converted, then the next pass computes in the new dtype', async () => {
  using network = await started(1);
  using single = await logitsOf(network);
  await network.to('float64');
  using double = await logitsOf(network, 'float64');
  expect(distance(double, single)).toBeLessThan(1e-4);
  expect(distance(double, single)).toBeGreaterThan(0);
});

test('given a folded network, then its state dict keeps the names and values that were loaded', async () => {
  using network = await started(1);
  const before = network.stateDict();
  using _logits = await logitsOf(network);
  const after = network.stateDict();
  expect(after.names()).toEqual(before.names());
  for (const name of before.names()) {
    using was = before.get(name)!.tensor();
    using is = after.get(name)!.tensor();
    expect(is.dataSync()).toEqual(was.dataSync());
  }
});
