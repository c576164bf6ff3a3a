import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { StateDict, type StateDictEntry } from '../../lib/checkpoint/state-dict';
import { ADE20K_CLASSES } from '../../lib/models/ade20k';
import {
  ADE20K_PREPROCESS,
  ARCHITECTURES,
  BUNDLED_ARCHITECTURE,
  BUNDLED_FOLDER,
  bundledConfig,
  publishedConfigs,
  resolveArchitecture,
} from '../../lib/models/architectures';
import { checkModelConfig, type ModelConfig, readModelConfig } from '../../lib/models/config';
import { configPath } from '../../lib/models/config-file';
import { guessConfig, readSegNeXt } from '../../lib/models/guess';
import { SegmentationMap } from '../../lib/models/segmentation-map';

const GOLDENS = join(__dirname, '..', 'goldens', 'segnext');

/** A state dict of names and shapes alone. */
function shapes(list: Iterable<readonly [string, readonly number[]]>): StateDict {
  const unread = (): never => {
    throw new Error('the values are not to be read');
  };
  return new StateDict(
    Array.from(
      list,
      ([name, shape]): StateDictEntry => ({ name, shape, dtype: 'float32', tensor: unread, bytes: unread }),
    ),
  );
}

async function goldenState(name: string): Promise<[string, number[]][]> {
  const { parameters } = JSON.parse(await readFile(join(GOLDENS, name, 'case.json'), 'utf8'));
  return parameters.map((each: { name: string; shape: number[] }) => [each.name, each.shape]);
}

const changed = (change: (config: { [key: string]: unknown }) => void): unknown => {
  const config = JSON.parse(JSON.stringify(valid));
  change(config);
  return config;
};
let valid: ModelConfig;
beforeAll(async () => {
  valid = (await bundledConfig()).config;
});

describe('configs', () => {
  test('the bundled one is whole: its files are there, its classes have colours', async () => {
    const located = await bundledConfig();
    expect(located.folder).toBe(BUNDLED_FOLDER);
    for (const file of [located.config.checkpoint!, located.config.nmfBases!]) {
      expect((await readFile(configPath(located, file))).length).toBeGreaterThan(1000);
    }
    expect(valid.classes).toEqual(['background', 'text', 'heading', 'table', 'figure']);
    expect(valid.palette).toHaveLength(5);
  });

  test.each([
    [
      'network',
      (c: never) => delete (c as { network?: unknown }).network,
      'expected a value for network, got undefined',
    ],
    [
      'kind',
      (c: never) => set(c, 'network.kind', 'unet'),
      `expected one of 'segnext' for network.kind, got "unet"`,
    ],
    [
      'wrong type',
      (c: never) => set(c, 'network.options.head.channels', '64'),
      'expected an integer from 1 for network.options.head.channels, got "64"',
    ],
    [
      'typo',
      (c: never) => set(c, 'network.options.head.compresRatio', 6),
      expect.stringMatching(
        /^expected only the members type, .* \(the nearest is compressRatio\) for network.options.head, got "compresRatio"$/,
      ),
    ],
    [
      'unknown',
      (c: never) => set(c, 'network.options.backbone.zzz', 6),
      'expected only the members inChannels, embedDims, mlpRatios, depths, dropRate, dropPathRate for network.options.backbone, got "zzz"',
    ],
    [
      'list element',
      (c: never) => set(c, 'network.options.backbone.depths', [2, 2, 0, 2]),
      'expected an integer from 1 for network.options.backbone.depths[2], got 0',
    ],
    [
      'empty list',
      (c: never) => set(c, 'classes', []),
      'expected a list with at least one element for classes, got []',
    ],
    [
      'class count',
      (c: never) => set(c, 'classes', ['a']),
      'expected 5 elements, as network.options.head.numClasses says, for classes, got "1 elements"',
    ],
    [
      'palette',
      (c: never) => set(c, 'palette.1', [1, 2, 256]),
      'expected three integers from 0 to 255 for palette[1], got [1, 2, 256]',
    ],
    [
      'resize',
      (c: never) => set(c, 'preprocess.resize', { mode: 'longest' }),
      'expected a value for preprocess.resize.size, got undefined',
    ],
    [
      'resize mode',
      (c: never) => set(c, 'preprocess.resize.mode', 'shortest'),
      `expected one of 'keep-ratio', 'longest' for preprocess.resize.mode, got "shortest"`,
    ],
    [
      'slide',
      (c: never) => set(c, 'inference', { mode: 'slide', crop: [512, 512] }),
      'expected a value for inference.stride, got undefined',
    ],
    [
      'std',
      (c: never) => set(c, 'preprocess.std', [1, 1, 0]),
      'expected a number above 0 for preprocess.std[2], got 0',
    ],
  ] as const)('a wrong member is named: %s', (_, change, message) => {
    const config = changed(change as (config: { [key: string]: unknown }) => void);
    expect(() => checkModelConfig(config)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_CONFIG', message }),
    );
  });

  test('null switches resizing and padding off', () => {
    const config = changed((c) => {
      c.preprocess = { resize: null, multiple: null };
    });
    expect(checkModelConfig(config)).toEqual(config);
  });

  test('files that are no config', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'freqfusion-config-'));
    try {
      const file = join(folder, 'config.json');
      await expect(readModelConfig(file)).rejects.toMatchObject({ code: 'ERR_MODEL_CONFIG' });
      await writeFile(file, '{ "network": ');
      await expect(readModelConfig(file)).rejects.toMatchObject({ code: 'ERR_MODEL_CONFIG' });
      await writeFile(file, JSON.stringify(valid));
      expect((await resolveArchitecture(file)).folder).toBe(folder);
      expect((await resolveArchitecture(folder)).config).toEqual(valid);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

function set(object: { [key: string]: unknown }, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop()!;
  let at = object;
  for (const name of names) at = at[name] as { [key: string]: unknown };
  at[last] = value;
}

describe('architectures', () => {
  test('every name resolves to a valid config of that name', async () => {
    expect(ARCHITECTURES).toHaveLength(9);
    for (const name of ARCHITECTURES) {
      const { config } = await resolveArchitecture(name);
      expect(config.name).toBe(name);
      expect(checkModelConfig(config)).toBe(config);
      expect(config.network.options.head?.type).toBe(
        name.includes('freqfusion') ? 'LightHamHeadFreqAware' : 'LightHamHead',
      );
    }
    expect((await resolveArchitecture(BUNDLED_ARCHITECTURE)).folder).toBe(BUNDLED_FOLDER);
  });

  test('a config object is checked and taken', async () => {
    expect((await resolveArchitecture(valid)).config).toBe(valid);
    await expect(resolveArchitecture({} as ModelConfig)).rejects.toMatchObject({ code: 'ERR_MODEL_CONFIG' });
  });

  test('an unknown name says what there is, and the nearest', async () => {
    await expect(resolveArchitecture('segnext-tinny-freqfusion')).rejects.toMatchObject({
      code: 'ERR_MODEL_ARCHITECTURE',
      message: expect.stringContaining('the nearest is segnext-tiny-freqfusion'),
    });
    await expect(resolveArchitecture(7 as never)).rejects.toMatchObject({ code: 'ERR_MODEL_ARCHITECTURE' });
  });

  test('ADE20K has 150 classes, each with a name of its own', () => {
    expect(ADE20K_CLASSES).toHaveLength(150);
    expect(new Set(ADE20K_CLASSES).size).toBe(150);
    expect([ADE20K_CLASSES[0], ADE20K_CLASSES[12], ADE20K_CLASSES[149]]).toEqual(['wall', 'person', 'flag']);
  });
});

describe('what a state dict tells', () => {
  const known = async () => [...publishedConfigs(), (await bundledConfig()).config];

  test('the published model with FreqFusion', async () => {
    const guess = readSegNeXt(shapes(await goldenState('mscan_t_freqfusion_64x96_b2')))!;
    expect(guess.prefix).toBe('');
    const config = guessConfig(guess, await known());
    expect(config.name).toBe('segnext-tiny-freqfusion');
    expect(config.preprocess).toBe(ADE20K_PREPROCESS);
    expect(config.network.options.head).toMatchObject({
      type: 'LightHamHeadFreqAware',
      compressRatio: 4,
      directionFeat: 'sim',
      featureResample: true,
      featureResampleGroup: 4,
      hammingWindow: false,
      numClasses: 150,
      hamKwargs: { mdR: 16 },
    });
    expect(() => checkModelConfig(config)).not.toThrow();
  });

  test('the plain head with another number of classes', async () => {
    const config = guessConfig(
      readSegNeXt(shapes(await goldenState('mscan_t_lightham_96x128')))!,
      await known(),
    );
    expect(config.name).toBe('segnext-tiny');
    expect(config.network.options.head).toMatchObject({ type: 'LightHamHead', numClasses: 19 });
  });

  test('the bundled checkpoint, by its file alone', async () => {
    const checkpoint = Checkpoint.fromBytes(await readFile(join(BUNDLED_FOLDER, valid.checkpoint!.file)));
    const config = guessConfig(readSegNeXt(checkpoint.stateDict())!, await known());
    expect(config).toMatchObject(valid);
  });

  test('prefixes are found, classes that differ in number are not taken over', async () => {
    const list = (await goldenState('mscan_t_freqfusion_64x96_b2')).map(
      ([name, shape]): [string, number[]] => [
        `net.model.${name}`,
        name.startsWith('decode_head.conv_seg') ? [7, ...shape.slice(1)] : shape,
      ],
    );
    const guess = readSegNeXt(shapes(list))!;
    expect(guess.prefix).toBe('net.model.');
    expect(guessConfig(guess, await known())).toMatchObject({
      name: 'segnext-tiny-freqfusion',
      network: { options: { head: { numClasses: 7 } } },
    });
  });

  test('sim_concat and hamming windows follow from shapes', async () => {
    const list = (await goldenState('mscan_t_freqfusion_64x96_b2')).map(
      ([name, shape]): [string, number[]] => {
        const channels = name.includes('freqfusions.0') ? 104 : 120;
        if (/dysampler\.(hr_)?(offset|direct_scale)\.weight/.test(name))
          return [name, [shape[0]!, channels + 8, 3, 3]];
        if (name.endsWith('hamming_lowpass')) return [name, [1, 1, 5, 5]];
        if (name.endsWith('hamming_highpass')) return [name, [1, 1, 3, 3]];
        return [name, shape];
      },
    );
    expect(readSegNeXt(shapes(list))!.options.head).toMatchObject({
      directionFeat: 'sim_concat',
      hammingWindow: true,
    });
  });

  test('sizes of their own need the rank from somewhere', async () => {
    const guess = readSegNeXt(shapes(await goldenState('mscan_t_freqfusion_64x96_b2')))!;
    const own = {
      ...guess,
      options: { ...guess.options, backbone: { ...guess.options.backbone, depths: [1, 1, 1, 1] } },
    };
    const configs = await known();
    expect(() => guessConfig(own, configs)).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_ARCHITECTURE',
        actual: 'embed dims 32, 64, 160, 256 and depths 1, 1, 1, 1',
        message: expect.stringContaining('--architecture'),
      }),
    );
    const written = guessConfig(own, configs, 'ham_kwargs=dict(MD_R=24),');
    expect(written.name).toBeUndefined();
    expect(written.network.options.head?.hamKwargs).toEqual({ mdR: 24 });
    const quoted = guessConfig(own, configs, "'ham_kwargs': {'MD_R': 12}");
    expect(quoted.network.options.head?.hamKwargs?.mdR).toBe(12);
    expect(guessConfig({ ...own, rank: 8 }, configs).network.options.head?.hamKwargs?.mdR).toBe(8);
  });

  test('what is no SegNeXt, or not all of one', async () => {
    expect(readSegNeXt(shapes([['conv1.weight', [64, 3, 7, 7]]]))).toBeUndefined();
    const list = await goldenState('mscan_t_lightham_96x128');
    const headless = list.filter(([name]) => !name.startsWith('decode_head.'));
    expect(() => readSegNeXt(shapes(headless))).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_ARCHITECTURE',
        expected: 'the key decode_head.squeeze.conv.weight of a whole SegNeXt',
      }),
    );
    const odd = list.map(([name, shape]): [string, number[]] =>
      name === 'decode_head.squeeze.conv.weight' ? [name, [256, 481, 1, 1]] : [name, shape],
    );
    expect(() => readSegNeXt(shapes(odd))).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_ARCHITECTURE' }),
    );
  });
});

describe('segmentation map', () => {
  const map = new SegmentationMap({
    width: 4,
    height: 2,
    labels: Uint8Array.from([0, 0, 1, 1, 1, 1, 1, 3]),
    classes: ['sky', 'sea', 'land', 'boat'],
    palette: [
      [0, 0, 255],
      [0, 255, 255],
      [0, 255, 0],
      [255, 0, 0],
    ],
    timing: { decode: 1, inference: 2, total: 3 },
    scores: Float32Array.from([1, 1, 1, 1, 1, 1, 1, 0.5]),
  });

  test('areas, pixels, runs', () => {
    expect(map.areas()).toEqual([
      { index: 1, name: 'sea', color: [0, 255, 255], pixels: 5, share: 0.625 },
      { index: 0, name: 'sky', color: [0, 0, 255], pixels: 2, share: 0.25 },
      { index: 3, name: 'boat', color: [255, 0, 0], pixels: 1, share: 0.125 },
    ]);
    expect(map.at(3, 1)).toEqual({ index: 3, name: 'boat', score: 0.5 });
    expect(() => map.at(4, 0)).toThrow('expected an integer from 0 to 3 for x, got 4');
    expect(map.runs()).toEqual([0, 2, 1, 5, 3, 1]);
    expect(JSON.parse(JSON.stringify(map))).toEqual({
      width: 4,
      height: 2,
      classes: map.areas(),
      timing: { decode: 1, inference: 2, total: 3 },
    });
  });

  test('an overlay and a label PNG in memory', async () => {
    const image = { data: new Uint8Array(24).fill(9), width: 4, height: 2 };
    expect((await map.overlay(image)).subarray(1, 4).toString()).toBe('PNG');
    expect((await map.toLabelPng())[24]).toBe(8);
    await expect(map.overlay({ data: new Uint8Array(12), width: 2, height: 2 })).rejects.toMatchObject({
      code: 'ERR_IMAGE_SIZE',
    });
    await expect(map.saveLogits('nowhere')).rejects.toMatchObject({ code: 'ERR_OUTPUT_MISSING' });
    expect(() => map.dispose()).not.toThrow();
  });
});
