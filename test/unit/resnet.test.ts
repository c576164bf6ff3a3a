import type { Tensor } from '../../lib';
import { ResNet, type ResNetOptions } from '../../lib/modules/resnet';
import { distance, errorOf, fill, map } from './synthetic';

const SMALL = { depth: 18, baseChannels: 8 } as const;

const filled = (options: ResNetOptions = SMALL) => fill(new ResNet(options));

describe('state', () => {
  test('given a bottleneck, then names and shapes are those of torchvision, in order', () => {
    using backbone = new ResNet({ depth: 50, baseChannels: 4 });
    const names = backbone.stateInfo().map(({ name, shape }) => `${name} ${shape.join('x')}`);
    const norm = (name: string, channels: number) => [
      `${name}.weight ${channels}`,
      `${name}.bias ${channels}`,
      `${name}.running_mean ${channels}`,
      `${name}.running_var ${channels}`,
      `${name}.num_batches_tracked `,
    ];
    expect(names.slice(0, 6)).toEqual(['conv1.weight 4x3x7x7', ...norm('bn1', 4)]);
    expect(names.filter((name) => name.startsWith('layer2.0.'))).toEqual([
      'layer2.0.conv1.weight 8x16x1x1',
      ...norm('layer2.0.bn1', 8),
      'layer2.0.conv2.weight 8x8x3x3',
      ...norm('layer2.0.bn2', 8),
      'layer2.0.conv3.weight 32x8x1x1',
      ...norm('layer2.0.bn3', 32),
      'layer2.0.downsample.0.weight 32x16x1x1',
      ...norm('layer2.0.downsample.1', 32),
    ]);
    expect(names.at(-1)).toBe('layer4.2.bn3.num_batches_tracked ');
  });

  test.each([
    [18, 11_176_512],
    [34, 21_284_672],
    [50, 23_508_032],
    [101, 42_500_160],
    [152, 58_143_808],
  ] as const)(
    'given depth %i, then it has the published number of parameters but for the classifier',
    (depth, count) => {
      using backbone = new ResNet({ depth });
      expect(backbone.parameterCount).toBe(count);
    },
  );
});

describe('forward', () => {
  test.each([
    [
      64,
      96,
      [
        [16, 24],
        [8, 12],
        [4, 6],
        [2, 3],
      ],
    ],
    [
      33,
      2,
      [
        [9, 1],
        [5, 1],
        [3, 1],
        [2, 1],
      ],
    ],
    [
      1,
      1,
      [
        [1, 1],
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    ],
  ])('given %i x %i, then every halving rounds up', async (height, width, sizes) => {
    using backbone = await filled();
    const outputs = await backbone.forward({ image: map('image', [1, 3, height, width]) });
    expect(Object.keys(outputs)).toEqual(['c2', 'c3', 'c4', 'c5']);
    expect(Object.values(outputs).map(({ shape }) => shape)).toEqual(
      sizes.map((size, i) => [1, 8 * 2 ** i, ...size]),
    );
  });

  test('given a batch, then every image gives what it gives alone', async () => {
    using backbone = await filled({ depth: 50, baseChannels: 8 });
    const image = map('image', [2, 3, 40, 24]);
    const together = await backbone.forward({ image });
    for (const i of [0, 1]) {
      const alone = await backbone.forward({ image: image.slice(0, i, i + 1) });
      for (const [level, output] of Object.entries(alone)) {
        const whole = together[level as 'c2'] as Tensor;
        expect(distance(output, whole.slice(0, i, i + 1))).toBeLessThan(1e-4);
      }
    }
  });

  test('given outIndices, then those maps alone, and the same ones', async () => {
    using all = await filled();
    using some = await filled({ ...SMALL, outIndices: [1, 2] });
    const image = map('image', [1, 3, 32, 48]);
    const [whole, part] = [await all.forward({ image }), await some.forward({ image })];
    expect(Object.keys(part)).toEqual(['c3', 'c4']);
    expect(distance(part.c4!, whole.c4!)).toBe(0);
  });

  test('given a second forward, then no map of the first one has been written over', async () => {
    using backbone = await filled();
    const image = map('image', [1, 3, 32, 32]);
    const first = await backbone.forward({ image });
    const before = Float32Array.from(first.c2!.dataSync());
    const second = await backbone.forward({ image: map('other', [1, 3, 32, 32]) });
    expect(first.c2!.dataSync()).toEqual(before);
    expect(distance(first.c2!, second.c2!)).toBeGreaterThan(1e-3);
  });

  test('given a larger image after a small one, then it is computed as in a fresh network', async () => {
    using used = await filled({ depth: 50, baseChannels: 16 });
    using fresh = await filled({ depth: 50, baseChannels: 16 });
    await used.forward({ image: map('small', [1, 3, 16, 16]) });
    const image = map('image', [1, 3, 96, 128]);
    const [a, b] = [await used.forward({ image }), await fresh.forward({ image })];
    expect(distance(a.c5!, b.c5!)).toBeLessThan(1e-4);
  });

  test.each(['float64', 'bfloat16', 'float16'] as const)(
    'given %s, then the result is near float32',
    async (dtype) => {
      // Wide enough for every way in which a convolution is computed.
      const options = { depth: 18, baseChannels: 64, numStages: 1 } as const;
      using backbone = await filled(options);
      const image = map('image', [1, 3, 40, 56]);
      const exact = (await backbone.forward({ image })).c2!;
      await backbone.to(dtype);
      const { c2 } = await backbone.forward({ image: image.to(dtype) });
      expect(c2!.dtype).toBe(dtype);
      const scale = Math.max(...Array.from(exact.dataSync() as Float32Array, Math.abs));
      const bound = { float64: 1e-5, float16: 0.02, bfloat16: 0.1 }[dtype];
      expect(distance(c2!.to('float32'), exact) / scale).toBeLessThan(bound);
    },
  );

  test("given style 'caffe', then the stride is in the first convolution: the same state, other results", async () => {
    const options = { depth: 50, baseChannels: 4 } as const;
    using pytorch = await filled(options);
    using caffe = await filled({ ...options, style: 'caffe' });
    const image = map('image', [1, 3, 32, 32]);
    const [a, b] = [await pytorch.forward({ image }), await caffe.forward({ image })];
    expect(caffe.stateInfo()).toEqual(pytorch.stateInfo());
    expect(distance(a.c2!, b.c2!)).toBe(0);
    expect(distance(a.c3!, b.c3!)).toBeGreaterThan(1e-3);
  });
});

describe('derived weights', () => {
  test('given another state after a forward, then the next one computes with it, and the state is as loaded', async () => {
    using network = await new ResNet({ ...SMALL, baseChannels: 64, numStages: 1 }).initialize(1);
    using other = await filled({ ...SMALL, baseChannels: 64, numStages: 1 });
    const image = map('image', [1, 3, 32, 32]);
    const before = (await network.forward({ image })).c2!;
    await network.loadStateDict(other.stateDict());
    const after = (await network.forward({ image })).c2!;
    expect(distance(after, (await other.forward({ image })).c2!)).toBe(0);
    expect(distance(after, before)).toBeGreaterThan(1e-3);
    for (const name of other.stateDict().names()) {
      const [is, was] = [network.stateDict().get(name)!.tensor(), other.stateDict().get(name)!.tensor()];
      expect(is.dataSync()).toEqual(was.dataSync());
    }
  });

  test('given initialize after a forward, then the next one computes with the new weights', async () => {
    using network = await new ResNet(SMALL).initialize(1);
    const image = map('image', [1, 3, 32, 32]);
    const first = (await network.forward({ image })).c5!;
    await network.initialize(2);
    const second = (await network.forward({ image })).c5!;
    using fresh = await new ResNet(SMALL).initialize(2);
    expect(distance(second, (await fresh.forward({ image })).c5!)).toBe(0);
    expect(distance(second, first)).toBeGreaterThan(1e-4);
  });

  test('given initialize, then the last norm of every block starts at 0 and the others at 1', async () => {
    using network = await new ResNet(SMALL).initialize(3);
    const first = (name: string) => network.stateDict().get(name)!.tensor().dataSync()[0];
    expect(first('layer1.0.bn1.weight')).toBe(1);
    expect(first('layer1.0.bn2.weight')).toBe(0);
  });
});

describe('errors', () => {
  test.each([
    [{ depth: 20 }, 'ERR_OPTION_VALUE', 'one of 18, 34, 50, 101, 152 for depth'],
    [{ baseChannels: 0 }, 'ERR_OPTION_VALUE', 'an integer from 1 for baseChannels'],
    [{ numStages: 5 }, 'ERR_OPTION_VALUE', 'from 1 to 4 for numStages'],
    [{ outIndices: [2, 1] }, 'ERR_OPTION_VALUE', 'rising indices of the 4 stages for outIndices'],
    [{ numStages: 2, outIndices: [2] }, 'ERR_OPTION_VALUE', 'rising indices of the 2 stages'],
    [{ outIndices: [] }, 'ERR_OPTION_VALUE', 'at least one stage for outIndices'],
    [{ style: 'tf' }, 'ERR_OPTION_VALUE', 'style'],
    [{ basechannels: 8 }, 'ERR_OPTION_UNKNOWN', 'baseChannels'],
  ])('given %j, then %s', async (options, code, words) => {
    const error = await errorOf(() => new ResNet(options as ResNetOptions));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(words)]);
  });

  test('given an image of other channels or dtype, then a typed error', async () => {
    using backbone = new ResNet(SMALL);
    const wrong = await errorOf(() => backbone.forward({ image: map('image', [1, 4, 8, 8]) }));
    expect([wrong.code, wrong.message]).toEqual([
      'ERR_SHAPE',
      expect.stringContaining('3 channels for image'),
    ]);
    const half = await errorOf(() => backbone.forward({ image: map('image', [1, 3, 8, 8]).to('float16') }));
    expect(half.code).toBe('ERR_DTYPE');
  });
});
