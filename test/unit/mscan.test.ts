import { scope, type Tensor, zeros } from '../../lib';
import { Mscan, type MscanOptions } from '../../lib/modules/mscan';
import { distance, errorOf, map } from './synthetic';

const SMALL = { embedDims: [8, 12, 16], mlpRatios: [2, 4, 1.5], depths: [1, 2, 1] } as const;

const started = (options: MscanOptions = SMALL) => new Mscan(options).initialize(3);

describe('state', () => {
  test('given a block, then names and shapes are those of the PyTorch state dict, in order', () => {
    using backbone = new Mscan(SMALL);
    const names = backbone.stateInfo().map(({ name, shape }) => `${name} ${shape.join('x')}`);
    expect(names.slice(0, 7)).toEqual([
      'patch_embed1.proj.0.weight 4x3x3x3',
      'patch_embed1.proj.0.bias 4',
      'patch_embed1.proj.1.weight 4',
      'patch_embed1.proj.1.bias 4',
      'patch_embed1.proj.1.running_mean 4',
      'patch_embed1.proj.1.running_var 4',
      'patch_embed1.proj.1.num_batches_tracked ',
    ]);
    expect(names.filter((name) => name.startsWith('block2.1.') && !name.includes('norm'))).toEqual([
      'block2.1.layer_scale_1 12',
      'block2.1.layer_scale_2 12',
      'block2.1.attn.proj_1.weight 12x12x1x1',
      'block2.1.attn.proj_1.bias 12',
      ...['conv0', 'conv0_1', 'conv0_2', 'conv1_1', 'conv1_2', 'conv2_1', 'conv2_2'].flatMap((name, i) => [
        `block2.1.attn.spatial_gating_unit.${name}.weight 12x1x${['5x5', '1x7', '7x1', '1x11', '11x1', '1x21', '21x1'][i]}`,
        `block2.1.attn.spatial_gating_unit.${name}.bias 12`,
      ]),
      'block2.1.attn.spatial_gating_unit.conv3.weight 12x12x1x1',
      'block2.1.attn.spatial_gating_unit.conv3.bias 12',
      'block2.1.attn.proj_2.weight 12x12x1x1',
      'block2.1.attn.proj_2.bias 12',
      'block2.1.mlp.fc1.weight 48x12x1x1',
      'block2.1.mlp.fc1.bias 48',
      'block2.1.mlp.dwconv.dwconv.weight 48x1x3x3',
      'block2.1.mlp.dwconv.dwconv.bias 48',
      'block2.1.mlp.fc2.weight 12x48x1x1',
      'block2.1.mlp.fc2.bias 12',
    ]);
    expect(names.slice(-2)).toEqual(['norm3.weight 16', 'norm3.bias 16']);
  });

  test('given no options, then it is MSCAN-T', () => {
    using backbone = new Mscan();
    expect(backbone.parameterCount).toBe(3_903_584);
  });
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
      ],
    ],
    [
      70,
      45,
      [
        [18, 12],
        [9, 6],
        [5, 3],
      ],
    ],
    [
      1,
      1,
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    ],
    [
      33,
      2,
      [
        [9, 1],
        [5, 1],
        [3, 1],
      ],
    ],
  ])('given %i x %i, then every halving rounds up', async (height, width, sizes) => {
    using backbone = await started();
    const outputs = await backbone.forward({ image: map('image', [1, 3, height, width]) });
    expect(Object.keys(outputs)).toEqual(['stage1', 'stage2', 'stage3']);
    expect(Object.values(outputs).map(({ shape }) => shape)).toEqual(
      sizes.map((size, i) => [1, SMALL.embedDims[i], ...size]),
    );
  });

  test('given a batch, then every image gives what it gives alone', async () => {
    using backbone = await started();
    const image = map('image', [2, 3, 40, 24]);
    const together = await backbone.forward({ image });
    for (const i of [0, 1]) {
      const alone = await backbone.forward({ image: image.slice(0, i, i + 1) });
      for (const [stage, output] of Object.entries(alone)) {
        expect(distance(output, (together[stage as 'stage1'] as Tensor).slice(0, i, i + 1))).toBeLessThan(
          1e-5,
        );
      }
    }
  });

  test('given a stage map, then every pixel of it is normalised over its channels', async () => {
    using backbone = await started();
    const { stage2 } = await backbone.forward({ image: map('image', [1, 3, 32, 32]) });
    const values = Array.from((await stage2!.data()) as Float32Array);
    const pixel = values.filter((_, i) => i % 16 === 5);
    const mean = pixel.reduce((sum, value) => sum + value, 0) / pixel.length;
    const variance = pixel.reduce((sum, value) => sum + (value - mean) ** 2, 0) / pixel.length;
    expect(pixel).toHaveLength(12);
    expect(mean).toBeCloseTo(0, 4);
    expect(variance).toBeCloseTo(1, 2);
  });

  test('given an image in channels-last memory or a slice, then the result is the same', async () => {
    using backbone = await started();
    const slice = map('image', [1, 3, 20, 40]).slice(3, 5, 33);
    const last = async (image: Tensor) => (await backbone.forward({ image })).stage3!;
    const expected = await last(slice.contiguous());
    expect(distance(await last(slice), expected)).toBe(0);
    expect(distance(await last(slice.contiguous('channels-last')), expected)).toBe(0);
  });

  test('given bfloat16, then the result is near float32', async () => {
    using backbone = await started();
    const image = map('image', [1, 3, 32, 32]);
    const exact = (await backbone.forward({ image })).stage1!;
    await backbone.to('bfloat16');
    const rough = (await backbone.forward({ image: image.to('bfloat16') })).stage1!;
    expect(rough.dtype).toBe('bfloat16');
    expect(distance(rough.to('float32'), exact)).toBeLessThan(0.15);
  });
});

test('a seed gives the same weights, another seed others', async () => {
  await scope(async () => {
    const weights = async (seed: number) => {
      const backbone = await new Mscan(SMALL).initialize(seed);
      return backbone.stateDict().get('block1.0.mlp.fc1.weight')!.tensor();
    };
    expect(distance(await weights(1), await weights(1))).toBe(0);
    expect(distance(await weights(1), await weights(2))).toBeGreaterThan(0.01);
  });
});

describe('refusals', () => {
  test.each([
    [{ embedDim: [8] }, 'ERR_OPTION_UNKNOWN'],
    [{ embedDims: [8, 8] }, 'ERR_OPTION_VALUE'],
    [{ embedDims: [1, 8, 8, 8] }, 'ERR_OPTION_VALUE'],
    [{ embedDims: 'tiny' }, 'ERR_OPTION_TYPE'],
    [{ mlpRatios: [8, 8, 4, 0] }, 'ERR_OPTION_VALUE'],
    [{ depths: [1, 1, 1, -1] }, 'ERR_OPTION_VALUE'],
    [{ inChannels: 0 }, 'ERR_OPTION_VALUE'],
  ])('options %p are %s', async (options, code) => {
    expect((await errorOf(() => new Mscan(options as never))).code).toBe(code);
  });

  test('images of another rank, channel count or dtype, and empty ones', async () => {
    using backbone = await started();
    const refused = async (image: unknown) =>
      (await errorOf(() => backbone.forward({ image: image as Tensor }))).code;
    expect(await refused(map('image', [3, 8, 8]))).toBe('ERR_SHAPE');
    expect(await refused(map('image', [1, 4, 8, 8]))).toBe('ERR_SHAPE');
    expect(await refused(zeros([1, 3, 0, 8]))).toBe('ERR_SHAPE');
    expect(await refused(zeros([1, 3, 8, 8], { dtype: 'uint8' }))).toBe('ERR_DTYPE');
    expect(await refused(zeros([1, 3, 8, 8], { dtype: 'float64' }))).toBe('ERR_DTYPE');
    expect(await refused('photo.jpg')).toBe('ERR_TYPE');
  });
});
