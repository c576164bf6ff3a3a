import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStats, scope, type Tensor, tensor } from '../../lib';
import { preprocess } from '../../lib/image/preprocess';
import { LightHamHead, type LightHamHeadOptions } from '../../lib/modules/light-ham-head';
import { SegNeXt, type SegNeXtOptions, type SegNeXtSegmentOptions } from '../../lib/modules/segnext';
import { SEGNEXT_VARIANTS, type SegNeXtVariant } from '../../lib/modules/segnext-variants';
import { collectGarbage } from '../collect-garbage';
import { distance, errorOf, map } from './synthetic';

beforeAll(collectGarbage);

const HEAD = {
  inChannels: [8, 16, 24],
  channels: 16,
  hamKwargs: { mdR: 4 },
  normGroups: 4,
  numClasses: 5,
  compressRatio: 2,
  featureResampleNorm: false,
} as const;
const SMALL: SegNeXtOptions = { backbone: { embedDims: [8, 8, 16, 24], depths: [1, 1, 1, 1] }, head: HEAD };

const started = (options: SegNeXtOptions = SMALL) => new SegNeXt(options).initialize(1);

/** A picture of soft blobs, so that neighbouring pixels share their class. */
function photo(height: number, width: number): Tensor<'uint8'> {
  const pixels = Uint8Array.from({ length: height * width * 3 }, (_, i) => {
    const [y, x] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width];
    return 127 + 60 * Math.sin(y / 9 + (i % 3)) + 60 * Math.cos(x / 13 - (i % 3));
  });
  return tensor(pixels, [height, width, 3], { dtype: 'uint8' });
}

const mirrored = (image: Tensor<'uint8'>): Tensor<'uint8'> => {
  const [height, width] = image.shape as [number, number, number];
  const from = image.dataSync() as Uint8Array;
  const to = Uint8Array.from(from, (_, i) => {
    const pixel = Math.floor(i / 3);
    return from[(pixel - (pixel % width) + width - 1 - (pixel % width)) * 3 + (i % 3)]!;
  });
  return tensor(to, [height, width, 3], { dtype: 'uint8' });
};

const STRETCH = { resize: { mode: 'keep-ratio', scale: [256, 64] }, multiple: { divisor: 32 } } as const;
const PAD = {
  resize: { mode: 'longest', size: 96, filter: 'area' },
  multiple: { divisor: 32, how: 'pad' },
} as const;

/** Share of pixels with another label. */
function disagreement(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  const [left, right] = [Array.from(a.dataSync() as Uint8Array), b.dataSync() as Uint8Array];
  return left.filter((label, i) => label !== right[i]).length / left.length;
}

describe('published sizes', () => {
  test.each([
    ['tiny', 4_263_414, 4_520_794],
    ['small', 13_932_886, 14_643_386],
    ['base', 27_636_310, 28_346_810],
    ['large', 48_926_550, 49_637_050],
  ] as const)('SegNeXt %s has %i parameters, with FreqFusion %i', (name: SegNeXtVariant, plain, fused) => {
    const { backbone, head } = SEGNEXT_VARIANTS[name];
    using freqAware = new SegNeXt(SEGNEXT_VARIANTS[name]);
    using light = new SegNeXt({ ...(backbone && { backbone }), head: { ...head, type: 'LightHamHead' } });
    expect([light.parameterCount, freqAware.parameterCount]).toEqual([plain, fused]);
  });

  test('SegNeXt tiny with FreqFusion has the state dict of the published model, entry by entry', () => {
    const file = join(__dirname, '..', 'goldens', 'manifests', 'segnext_mscan_t_freqfusion.json');
    const { state_dict: wanted } = JSON.parse(readFileSync(file, 'utf8')) as { state_dict: unknown[] };
    using model = new SegNeXt();
    expect(model.stateInfo()).toEqual(wanted);
  });
});

describe('forward', () => {
  test.each([
    [64, 96],
    [70, 45],
    [1, 1],
    [121, 8],
  ])('given %i x %i, then the logits are at an eighth, rounded up', async (height, width) => {
    using model = await started();
    const { logits } = await model.forward({ image: map('image', [1, 3, height, width]) });
    const eighth = (side: number) => Math.ceil(Math.ceil(Math.ceil(side / 2) / 2) / 2);
    expect(logits.shape).toEqual([1, 5, eighth(height), eighth(width)]);
    expect((logits.dataSync() as Float32Array).every(Number.isFinite)).toBe(true);
  });

  test('given sizePolicy strict, then an odd size is refused with both shapes', async () => {
    using model = await started({ ...SMALL, head: { ...HEAD, sizePolicy: 'strict' } });
    const error = await errorOf(() => model.forward({ image: map('image', [1, 3, 70, 45]) }));
    expect(error.code).toBe('ERR_SHAPE');
    expect(error.message).toMatch(/\[1, 24, 3, 2\].*\[1, 16, 5, 3\]/);
  });

  test('given stages, then they come by name in the order of the computation', async () => {
    using model = await started();
    const { stages } = await model.forward({ image: map('image', [1, 3, 64, 64]) }, { stages: true });
    expect(Object.keys(stages).join(' ')).toBe(
      'stage1 stage2 stage3 stage4 ff0MaskLr ff0HrFeat ff0LrFeat ff1MaskLr ff1HrFeat ff1LrFeat squeeze hamIn nmf hamburger align',
    );
    expect(stages.ff1LrFeat!.shape).toEqual([1, 40, 8, 8]);
  });

  test('given a size, then segLogit is the logits at it, and without one it is not there', async () => {
    using model = await started();
    const image = map('image', [2, 3, 32, 32]);
    expect((await model.forward({ image }, { size: [50, 20] })).segLogit!.shape).toEqual([2, 5, 50, 20]);
    expect(Object.keys(await model.forward({ image }))).toEqual(['logits']);
  });

  test('given the plain head, then levels are resized and joined', async () => {
    const { inChannels, channels, hamKwargs, normGroups, numClasses } = HEAD;
    const head: LightHamHeadOptions = {
      inChannels,
      channels,
      hamKwargs,
      normGroups,
      numClasses,
      type: 'LightHamHead',
    };
    using model = await started({ ...SMALL, head });
    const { logits, stages } = await model.forward({ image: map('image', [1, 3, 70, 45]) }, { stages: true });
    expect(logits.shape).toEqual([1, 5, 9, 6]);
    expect(Object.keys(stages)).not.toContain('ff0MaskLr');
  });
});

describe('head alone', () => {
  const levels = { x1: map('x1', [1, 8, 8, 12]), x2: map('x2', [1, 16, 4, 6]), x3: map('x3', [1, 24, 2, 3]) };

  test('gives what the whole model gives of the same maps', async () => {
    using model = await started();
    using head = new LightHamHead(HEAD);
    await head.loadStateDict(model.stateDict(), { prefix: 'decode_head.' });
    const image = map('image', [1, 3, 64, 96]);
    const { logits, stages } = await model.forward({ image }, { stages: true });
    const { stage2, stage3, stage4 } = stages;
    const alone = await head.forward({ x1: stage2!, x2: stage3!, x3: stage4! });
    expect(distance(alone.logits, logits)).toBe(0);
  });

  test('low2highResidual and high2lowResidual add 1x1 convolutions to the state', async () => {
    using head = new LightHamHead({ ...HEAD, low2highResidual: true, high2lowResidual: true });
    const names = head.stateInfo().map(({ name, shape }) => `${name} ${shape.join('x')}`);
    expect(names.filter((name) => /2(low|high)_convs/.test(name))).toEqual([
      'low2high_convs.0.weight 16x24x1x1',
      'low2high_convs.0.bias 16',
      'low2high_convs.1.weight 8x40x1x1',
      'low2high_convs.1.bias 8',
      'high2low_convs.0.weight 24x16x1x1',
      'high2low_convs.0.bias 24',
      'high2low_convs.1.weight 40x8x1x1',
      'high2low_convs.1.bias 40',
    ]);
    await head.initialize(1);
    expect((await head.forward(levels)).logits.shape).toEqual([1, 5, 8, 12]);
  });

  test('without featureResample any channel counts are joined plainly', async () => {
    using head = await new LightHamHead({ ...HEAD, featureResample: false }).initialize(1);
    expect((await head.forward(levels)).logits.shape).toEqual([1, 5, 8, 12]);
  });
});

describe('segment', () => {
  const segment = (model: SegNeXt, image: Tensor<'uint8'>, options: SegNeXtSegmentOptions) =>
    model.segment(image, options);

  test.each([
    ['stretched to a multiple', STRETCH, [45, 70]],
    ['padded to a multiple', PAD, [150, 81]],
    ['as it is', {}, [64, 40]],
  ] as const)('an image %s: the steps one by one give the same', async (_, options, [height, width]) => {
    using model = await started();
    const image = photo(height, width);
    const { resized, input } = await preprocess(image, options);
    const { logits } = await model.forward({ image: input });
    const network = input.shape.slice(2);
    const content = 'multiple' in options && 'how' in options.multiple ? resized.shape.slice(0, 2) : network;
    const outputs = { labels: true, probabilities: true, scores: true };
    const steps = await model.postprocess({ logits }, { network, content, size: [height, width], outputs });
    const whole = await segment(model, image, { preprocess: options, outputs: { ...outputs, logits: true } });
    expect(distance(whole.logits!, logits.reshape(logits.shape.slice(1)))).toBe(0);
    for (const name of ['labels', 'probabilities', 'scores'] as const) {
      expect(distance(whole[name]!, steps[name]!.reshape(whole[name]!.shape))).toBe(0);
    }
    expect(whole.labels!.shape).toEqual([height, width]);
    expect(whole.probabilities!.shape).toEqual([5, height, width]);
  });

  test('labels alone, which skip pixels that are settled, agree with the probabilities', async () => {
    using model = await started();
    const image = photo(150, 181);
    const { labels } = await segment(model, image, { preprocess: PAD });
    const full = await segment(model, image, {
      preprocess: PAD,
      outputs: { probabilities: true, scores: true },
    });
    expect(disagreement(labels!, full.labels!)).toBeLessThan(1e-4);
    const [values, scores] = [await full.probabilities!.data(), await full.scores!.data()] as [
      Float32Array,
      Float32Array,
    ];
    const pixels = scores.length;
    for (let i = 0; i < pixels; i += 97) {
      const classes = Array.from({ length: 5 }, (_, c) => values[c * pixels + i]!);
      expect(classes.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
      expect(Math.max(...classes)).toBe(scores[i]);
      expect(classes.indexOf(scores[i]!)).toBe((full.labels!.dataSync() as Uint8Array)[i]);
    }
  });

  test('only what was asked for comes back', async () => {
    using model = await started();
    const image = photo(32, 32);
    expect(Object.keys(await segment(model, image, {}))).toEqual(['labels']);
    expect(Object.keys(await segment(model, image, { outputs: { labels: false, logits: true } }))).toEqual([
      'logits',
    ]);
  });

  test('more than 256 classes give int32 labels', async () => {
    using model = await started({ ...SMALL, head: { ...HEAD, numClasses: 300 } });
    const image = photo(32, 40);
    const { labels, probabilities } = await segment(model, image, { outputs: { probabilities: true } });
    expect(labels!.dtype).toBe('int32');
    expect(probabilities!.shape).toEqual([300, 32, 40]);
  });

  test('bfloat16 weights give labels near those of float32', async () => {
    using model = await started();
    const image = photo(64, 64);
    const { labels } = await segment(model, image, {});
    await model.to('bfloat16');
    const rough = await segment(model, image, { outputs: { logits: true } });
    expect(rough.logits!.dtype).toBe('float32');
    expect(disagreement(labels!, rough.labels!)).toBeLessThan(0.2);
  });

  test('tensors are all given back', async () => {
    using model = await started();
    const before = memoryStats().liveTensors;
    await scope(async () => {
      await segment(model, photo(40, 40), { outputs: { probabilities: true, scores: true, logits: true } });
    });
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
  });
});

describe('sliding windows, scales and mirror images', () => {
  const outputs = { probabilities: true };

  test('a window as large as the input is the whole', async () => {
    using model = await started();
    const image = photo(70, 96);
    const whole = await model.segment(image, { preprocess: PAD, outputs });
    const inference = { mode: 'slide', crop: [500, 500], stride: [300, 300] } as const;
    const slid = await model.segment(image, { preprocess: PAD, inference, outputs });
    expect(distance(slid.probabilities!, whole.probabilities!)).toBe(0);
  });

  test('windows average the logits where they overlap', async () => {
    using model = await started();
    const image = photo(64, 96);
    const { input } = await preprocess(image);
    // Windows of 64 at a stride of 32: columns 0..63 and 32..95, which share 32..63.
    const [left, right] = await Promise.all(
      [0, 32].map(async (start) => {
        const { segLogit } = await model.forward(
          { image: input.slice(3, start, start + 64) },
          { size: [64, 64] },
        );
        return (await segLogit!.data()) as Float32Array;
      }),
    );
    const inference = { mode: 'slide', crop: [64, 64], stride: [32, 32] } as const;
    const slid = await model.segment(image, { inference, outputs });
    const probabilities = (await slid.probabilities!.data()) as Float32Array;
    for (let i = 0; i < 64 * 96; i += 31) {
      const [y, x] = [Math.floor(i / 96), i % 96];
      const logits = Array.from({ length: 5 }, (_, c) => {
        const at = (column: number) => (c * 64 + y) * 64 + column;
        if (x < 32) return left![at(x)]!;
        return x < 64 ? (left![at(x)]! + right![at(x - 32)]!) / 2 : right![at(x - 32)]!;
      });
      const total = logits.reduce((sum, value) => sum + Math.exp(value), 0);
      for (const [c, value] of logits.entries()) {
        expect(Math.abs(probabilities[(c * 64 + y) * 96 + x]! - Math.exp(value) / total)).toBeLessThan(1e-5);
      }
    }
  });

  test('with flip, a mirrored image has the mirrored result', async () => {
    using model = await started();
    const image = photo(64, 90);
    const run = async (pixels: Tensor<'uint8'>) =>
      (await model.segment(pixels, { preprocess: PAD, inference: { flip: true }, outputs })).probabilities!;
    const [straight, turned] = [await run(image), await run(mirrored(image))];
    const [a, b] = [straight.dataSync() as Float32Array, turned.dataSync() as Float32Array];
    const worst = a.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - b[i - (i % 90) + 89 - (i % 90)]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
  });

  test('scales average the probabilities of each', async () => {
    using model = await started();
    const image = photo(50, 70);
    const single = (side: number) => ({ ...PAD, resize: { ...PAD.resize, size: side } });
    const each = await Promise.all(
      [48, 96].map(
        async (side) => (await model.segment(image, { preprocess: single(side), outputs })).probabilities!,
      ),
    );
    const both = await model.segment(image, { preprocess: PAD, inference: { ratios: [0.5, 1] }, outputs });
    const [a, b] = each.map((one) => one.dataSync() as Float32Array) as [Float32Array, Float32Array];
    const mean = tensor(
      a.map((value, i) => (value + b[i]!) / 2),
      both.probabilities!.shape,
    );
    expect(distance(both.probabilities!, mean)).toBeLessThan(1e-6);
  });
});

describe('refusals', () => {
  test.each([
    [{ ...SMALL, head: { ...HEAD, inIndex: [1, 2, 4] } }, 'ERR_OPTION_VALUE'],
    [{ ...SMALL, head: { ...HEAD, inIndex: [1, 2] } }, 'ERR_OPTION_VALUE'],
    [{ ...SMALL, head: { ...HEAD, inChannels: [8, 16, 32] } }, 'ERR_OPTION_VALUE'],
    [{ ...SMALL, head: { ...HEAD, featureResampleGroup: 3 } }, 'ERR_OPTION_VALUE'],
    [{ ...SMALL, head: { ...HEAD, type: 'SegFormerHead' } }, 'ERR_OPTION_VALUE'],
    [{ ...SMALL, head: { ...HEAD, type: 'LightHamHead' } }, 'ERR_OPTION_UNKNOWN'],
    [{ ...SMALL, head: { ...HEAD, compressedChannels: 8 } }, 'ERR_OPTION_UNKNOWN'],
    [{ ...SMALL, neck: {} }, 'ERR_OPTION_UNKNOWN'],
  ])('options %# are %s', async (options, code) => {
    expect((await errorOf(() => new SegNeXt(options as never))).code).toBe(code);
  });

  test.each([
    [{ inference: { mode: 'slide' } }, 'ERR_OPTION_VALUE'],
    [{ inference: { mode: 'slide', crop: [64, 64], stride: [65, 64] } }, 'ERR_OPTION_VALUE'],
    [{ inference: { ratios: [] } }, 'ERR_OPTION_VALUE'],
    [{ inference: { ratios: [0] } }, 'ERR_OPTION_VALUE'],
    [{ inference: { flips: true } }, 'ERR_OPTION_UNKNOWN'],
    [{ inference: { flip: true }, outputs: { logits: true } }, 'ERR_NOT_SUPPORTED'],
    [{ outputs: { label: true } }, 'ERR_OPTION_UNKNOWN'],
    [{ preprocess: { resize: { mode: 'longest', size: -1 } } }, 'ERR_OPTION_VALUE'],
  ])('segment with %p is %s', async (options, code) => {
    using model = await started();
    expect((await errorOf(() => model.segment(photo(8, 8), options as never))).code).toBe(code);
  });

  test('postprocess refuses sizes that do not fit', async () => {
    using model = await started();
    const logits = map('logits', [1, 5, 4, 4]);
    const run = (options: object) => errorOf(() => model.postprocess({ logits }, options));
    expect((await run({ network: [32, 32], content: [33, 8] })).code).toBe('ERR_OPTION_VALUE');
    expect((await run({ size: [0, 8] })).code).toBe('ERR_OPTION_VALUE');
    expect((await run({ size: 8 })).code).toBe('ERR_OPTION_VALUE');
  });

  test('an image that is no uint8 picture', async () => {
    using model = await started();
    const run = (image: unknown) => errorOf(() => model.segment(image as Tensor<'uint8'>));
    expect((await run(map('image', [8, 8, 3]))).code).toBe('ERR_DTYPE');
    expect((await run(tensor(new Uint8Array(64), [8, 8, 1], { dtype: 'uint8' }))).code).toBe('ERR_SHAPE');
    expect((await run('page.png')).code).toBe('ERR_TYPE');
  });
});
