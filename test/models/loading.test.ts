import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { saveSafetensors } from '../../lib/checkpoint/save';
import { StateDict } from '../../lib/checkpoint/state-dict';
import {
  ARCHITECTURES,
  BUNDLED_FOLDER,
  bundledConfig,
  publishedConfigs,
  resolveArchitecture,
} from '../../lib/models/architectures';
import { guessConfig, readSegNeXt } from '../../lib/models/guess';
import { bundledPage, loadModel } from '../../lib/models/load';
import { SegNeXt } from '../../lib/modules/segnext';
import { tensor } from '../../lib/tensor';

const WEIGHTS = join(BUNDLED_FOLDER, 'layout_segnext_nano_freqfusion.pth');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'freqfusion-loading-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(ARCHITECTURES)('%s is recognised by its own state dict', async (name) => {
  const { config } = await resolveArchitecture(name);
  using network = new SegNeXt(config.network.options);
  const guess = readSegNeXt(network.stateDict())!;
  const known = [...publishedConfigs(), (await bundledConfig()).config];
  expect(guessConfig(guess, known).name).toBe(name);
  using again = new SegNeXt(guessConfig(guess, known).network.options);
  expect(again.stateInfo()).toEqual(network.stateInfo());
});

describe('where a model comes from', () => {
  test('the folder, the config, and the checkpoint beside its config are one model', async () => {
    for (const path of [undefined, BUNDLED_FOLDER, join(BUNDLED_FOLDER, 'config.json'), WEIGHTS]) {
      using model = await loadModel(path);
      expect(model.info).toMatchObject({
        architecture: 'layout-segnext-nano-freqfusion',
        checkpoint: expect.stringContaining('.pth'),
      });
      expect(model.info.preprocess.resize).toEqual({ mode: 'longest', size: 640, filter: 'area' });
    }
  });

  test('a copy elsewhere is recognised, and segments as the bundled one', async () => {
    const copy = join(folder, 'renamed.pth');
    await copyFile(WEIGHTS, copy);
    using bundled = await loadModel();
    using model = await loadModel(copy);
    expect(model.info.architecture).toBe('layout-segnext-nano-freqfusion');
    const [a, b] = [await bundled.segment(bundledPage(2)), await model.segment(bundledPage(2))];
    expect(Buffer.compare(Buffer.from(a.labels), Buffer.from(b.labels))).toBe(0);
  });

  test('safetensors, with the class names in its metadata', async () => {
    const file = join(folder, 'converted.safetensors');
    const checkpoint = await Checkpoint.open(WEIGHTS);
    await checkpoint.save(file);
    checkpoint.close();
    using model = await loadModel(file, { dtype: 'float64' });
    expect(model.info).toMatchObject({ format: 'safetensors', dtype: 'float64' });
    expect(model.classes[3]).toBe('table');
  });

  test('a config.json beside it that does not name it says nothing', async () => {
    const place = join(folder, 'other');
    await mkdir(place);
    await copyFile(WEIGHTS, join(place, 'model.pth'));
    await writeFile(join(place, 'config.json'), '{ "model_type": "something else" }');
    using model = await loadModel(join(place, 'model.pth'));
    expect(model.info.architecture).toBe('layout-segnext-nano-freqfusion');
  });

  test('a config of free sizes, with seeded bases', async () => {
    const { config } = await bundledConfig();
    const place = join(folder, 'free');
    await mkdir(place);
    const options = {
      backbone: { embedDims: [16, 32, 32, 64], mlpRatios: [2, 2, 2, 2], depths: [1, 1, 1, 1] },
      head: {
        inChannels: [32, 32, 64],
        channels: 32,
        hamKwargs: { mdR: 4 },
        numClasses: 3,
        compressRatio: 4,
      },
    };
    using network = await new SegNeXt(options).initialize(5);
    await saveSafetensors(join(place, 'weights.safetensors'), network.stateDict());
    const { name: _, classes: __, palette: ___, nmfBases: ____, ...rest } = config;
    const own = {
      ...rest,
      network: { kind: 'segnext', options },
      checkpoint: { file: 'weights.safetensors' },
    };
    await writeFile(join(place, 'config.json'), JSON.stringify(own));
    using model = await loadModel(place);
    expect(model.classes).toEqual(['class 0', 'class 1', 'class 2']);
    const [a, b] = [await model.segment(bundledPage(2)), await model.segment(bundledPage(2))];
    expect(Buffer.compare(Buffer.from(a.labels), Buffer.from(b.labels))).toBe(0);
    await expect(
      loadModel(join(place, 'weights.safetensors'), { architecture: 'segnext-tiny' }),
    ).rejects.toMatchObject({
      code: 'ERR_STATE_KEYS',
    });
    const moved = join(folder, 'alone.safetensors');
    await copyFile(join(place, 'weights.safetensors'), moved);
    await expect(loadModel(moved)).rejects.toMatchObject({
      code: 'ERR_MODEL_ARCHITECTURE',
      message: expect.stringContaining('--architecture'),
    });
  });
});

describe('options', () => {
  test('classes and palette, from the options or the checkpoint', async () => {
    using model = await loadModel(undefined, { classes: ['a', 'b', 'c', 'd', 'e'] });
    expect(model.classes).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(model.palette[1]).toEqual([66, 133, 244]);
    await expect(loadModel(undefined, { classes: ['a'] })).rejects.toMatchObject({
      code: 'ERR_MODEL_CLASSES',
    });
    await expect(loadModel(undefined, { palette: [[0, 0, 300]] })).rejects.toMatchObject({
      code: 'ERR_COLOR',
    });
  });

  test('bases and seeds decide the factorisation, and nothing else does', async () => {
    const labels = async (options: Parameters<typeof loadModel>[1]) => {
      using model = await loadModel(undefined, options);
      using map = await model.segment(bundledPage(2), { outputs: ['logits'] });
      return map.logits!.data();
    };
    const [own, seeded, again, other] = [
      await labels({}),
      await labels({ nmfSeed: 1 }),
      await labels({ nmfSeed: 1 }),
      await labels({ nmfSeed: 2 }),
    ];
    expect(Array.from(again)).toEqual(Array.from(seeded));
    expect(Array.from(other)).not.toEqual(Array.from(seeded));
    expect(Array.from(own)).not.toEqual(Array.from(seeded));
    const checkpoint = await Checkpoint.open(join(BUNDLED_FOLDER, 'nmf_bases.safetensors'));
    using bases = checkpoint.stateDict().get('nmf_bases')!.tensor();
    expect(Array.from(await labels({ nmfBases: bases as never }))).toEqual(Array.from(own));
    checkpoint.close();
  });

  test('the reflect border is another network', async () => {
    using zeros = await loadModel();
    using reflect = await loadModel(undefined, { border: 'reflect' });
    using a = await zeros.segment(bundledPage(2), { outputs: ['logits'] });
    using b = await reflect.segment(bundledPage(2), { outputs: ['logits'] });
    expect(Array.from(await a.logits!.data())).not.toEqual(Array.from(await b.logits!.data()));
  });

  test.each(['bfloat16', 'float16'] as const)('%s gives nearly the same labels', async (dtype) => {
    using model = await loadModel();
    using half = await loadModel(undefined, { dtype });
    const [a, b] = [await model.segment(bundledPage(2)), await half.segment(bundledPage(2))];
    let same = 0;
    for (let i = 0; i < a.labels.length; i++) same += Number(a.labels[i] === b.labels[i]);
    expect(same / a.labels.length).toBeGreaterThan(0.97);
  });

  test('strict loading names what is wrong; loose loading reports it', async () => {
    const checkpoint = await Checkpoint.open(WEIGHTS);
    const entries = [...checkpoint.stateDict()].filter(({ name }) => name !== 'decode_head.align.gn.bias');
    const file = join(folder, 'incomplete.safetensors');
    await saveSafetensors(file, new StateDict(entries));
    checkpoint.close();
    await expect(loadModel(file)).rejects.toMatchObject({
      code: 'ERR_STATE_KEYS',
      message: expect.stringContaining('decode_head.align.gn.bias'),
    });
    using model = await loadModel(file, { strict: false });
    expect(JSON.stringify(model.info.loaded.missing)).toContain('decode_head.align.gn.bias');
  });

  test('wrong arguments', async () => {
    for (const [path, options, code] of [
      [7, {}, 'ERR_TYPE'],
      [undefined, { device: 'tpu' }, 'ERR_DEVICE'],
      [undefined, { dtype: 'int8' }, 'ERR_DTYPE'],
      [undefined, { nmfSeed: -1 }, 'ERR_RANGE'],
      [undefined, { border: 'mirror' }, 'ERR_OPTION_VALUE'],
      [undefined, { strict: 'yes' }, 'ERR_TYPE'],
      [undefined, { architecture: 'resnet' }, 'ERR_MODEL_ARCHITECTURE'],
      [undefined, { architecture: 'segnext-tiny' }, 'ERR_MODEL_CHECKPOINT'],
      [join(folder, 'nowhere.pth'), {}, 'ERR_FILE'],
    ] as const) {
      await expect(loadModel(path as never, options as never)).rejects.toMatchObject({ code });
    }
    const unrelated = join(folder, 'unrelated.safetensors');
    using weight = tensor([1, 2, 3]);
    await saveSafetensors(unrelated, StateDict.from({ 'fc.weight': weight }));
    await expect(loadModel(unrelated)).rejects.toMatchObject({
      code: 'ERR_MODEL_ARCHITECTURE',
      actual: 'keys such as fc.weight',
    });
    expect((await readFile(bundledPage(23))).length).toBeGreaterThan(0);
    expect(() => bundledPage(24)).toThrow(expect.objectContaining({ code: 'ERR_RANGE' }));
  });
});
