import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StateDict, type StateDictEntry } from '../../lib/checkpoint/state-dict';
import { COCO_PANOPTIC, COCO_THINGS } from '../../lib/coco/classes';
import { resolveArchitecture } from '../../lib/models/architectures';
import {
  DETECTOR_ARCHITECTURES,
  DETECTORS,
  resolveDetectorArchitecture,
} from '../../lib/models/detector-architectures';
import { checkDetectorConfig, type DetectorConfig } from '../../lib/models/detector-config';
import { guessDetector, readDetector } from '../../lib/models/detector-guess';
import { makeDetector } from '../../lib/models/load-detector';

const MANIFESTS = join(__dirname, '..', 'goldens', 'manifests');
const detectors = readdirSync(MANIFESTS).filter(
  (name) => /_(fpn|freqfusion|carafe)\.json$/.test(name) && !name.startsWith('segnext'),
);

type Shapes = [name: string, shape: readonly number[]][];

/** A published checkpoint's names and shapes. */
function published(file: string): Shapes {
  const { state_dict: entries } = JSON.parse(readFileSync(join(MANIFESTS, file), 'utf8')) as {
    state_dict: { name: string; shape: number[] }[];
  };
  return entries.map(({ name, shape }) => [name, shape]);
}

/** A state dict of names and shapes alone. */
function stateOf(list: Shapes): StateDict {
  const unread = (): never => {
    throw new Error('the values are not to be read');
  };
  return new StateDict(
    list.map(
      ([name, shape]): StateDictEntry => ({ name, shape, dtype: 'float32', tensor: unread, bytes: unread }),
    ),
  );
}

const guessed = (list: Shapes, trainingConfig?: string): DetectorConfig =>
  guessDetector(readDetector(stateOf(list), trainingConfig)!, DETECTORS.published());

const R50 = 'faster_rcnn_r50_freqfusion.json';

describe('architectures', () => {
  test('there are the six released ones, their baselines, and the bundled one', () => {
    expect(DETECTOR_ARCHITECTURES).toEqual(
      expect.arrayContaining([
        'faster-rcnn-r50-freqfusion',
        'faster-rcnn-r101-freqfusion',
        'mask-rcnn-r50-freqfusion',
        'mask-rcnn-r101-freqfusion',
        'panoptic-fpn-r50-freqfusion',
        'panoptic-fpn-r101-freqfusion',
        'shapes-mask-rcnn-r18-freqfusion',
      ]),
    );
    expect(DETECTOR_ARCHITECTURES).toHaveLength(15);
  });

  test.each(DETECTOR_ARCHITECTURES)('%s is a valid config of its name', async (name) => {
    const { config } = await resolveDetectorArchitecture(name);
    expect(config.name).toBe(name);
    expect(checkDetectorConfig(config)).toBe(config);
  });

  test('groups and norm of the offset generator differ as in the released configs', async () => {
    const neck = async (name: string) => {
      const { featureResampleGroup, featureResampleNorm } = (await resolveDetectorArchitecture(name)).config
        .network.options.neck!;
      return [featureResampleGroup, featureResampleNorm];
    };
    expect(await neck('faster-rcnn-r50-freqfusion')).toEqual([4, true]);
    expect(await neck('faster-rcnn-r101-freqfusion')).toEqual([8, true]);
    expect(await neck('mask-rcnn-r101-freqfusion')).toEqual([4, true]);
    expect(await neck('panoptic-fpn-r50-freqfusion')).toEqual([4, false]);
    expect(await neck('panoptic-fpn-r101-freqfusion')).toEqual([4, true]);
  });

  test('FreqFusion pads to multiples of 64, the plain pyramid to 32', async () => {
    const { config } = await resolveDetectorArchitecture('mask-rcnn-r50-freqfusion');
    expect(config.preprocess).toEqual({
      resize: { mode: 'keep-ratio', scale: [1333, 800] },
      multiple: { divisor: 64, how: 'pad' },
      mean: [123.675, 116.28, 103.53],
      std: [58.395, 57.12, 57.375],
    });
    const plain = await resolveDetectorArchitecture('mask-rcnn-r50-fpn');
    expect(plain.config.preprocess?.multiple).toEqual({ divisor: 32, how: 'pad' });
  });

  test('each loader names the other', async () => {
    await expect(resolveDetectorArchitecture('segnext-tiny')).rejects.toMatchObject({
      code: 'ERR_MODEL_ARCHITECTURE',
      message:
        'expected an architecture of loadDetector for architecture, got "segnext-tiny". loadModel (freqfusion segment) takes it',
    });
    await expect(resolveArchitecture('mask-rcnn-r50-freqfusion')).rejects.toMatchObject({
      code: 'ERR_MODEL_ARCHITECTURE',
      message: expect.stringContaining('loadDetector (freqfusion detect) takes it'),
    });
    await expect(resolveDetectorArchitecture('mask-rcn-r50-freqfusion')).rejects.toMatchObject({
      message: expect.stringContaining('the nearest is mask-rcnn-r50-freqfusion'),
    });
  });
});

describe('what a state dict tells', () => {
  test.each(detectors)('%s is recognised by its keys, and the config builds it', async (file) => {
    const list = published(file);
    const config = guessed(list);
    expect(config.name).toBe(file.replace('.json', '').replaceAll('_', '-'));
    expect(() => checkDetectorConfig(config)).not.toThrow();
    const classes = config.network.kind === 'panoptic_fpn' ? COCO_PANOPTIC : COCO_THINGS;
    expect(config.classes).toEqual(classes.map(({ name }) => name));
    using network = makeDetector(config);
    expect(network.stateInfo().map(({ name, shape }) => [name, shape])).toEqual(list);
  });

  test('another number of classes keeps the architecture, and not the names of the classes', () => {
    const list = published(R50).map(([name, shape]): Shapes[number] => {
      if (name.includes('bbox_head.fc_cls')) return [name, [6, ...shape.slice(1)]];
      if (name.includes('bbox_head.fc_reg')) return [name, [20, ...shape.slice(1)]];
      return [name, shape];
    });
    const config = guessed(list);
    expect(config.name).toBe('faster-rcnn-r50-freqfusion');
    expect(config.classes).toBeUndefined();
    expect(config.network.options.roiHead?.bboxHead?.numClasses).toBe(5);
  });

  test('a prefix before the keys is found', () => {
    const list = published(R50).map(([name, shape]): Shapes[number] => [`model.${name}`, shape]);
    const guess = readDetector(stateOf(list))!;
    expect(guess.prefix).toBe('model.');
    expect(guessDetector(guess, DETECTORS.published()).name).toBe('faster-rcnn-r50-freqfusion');
  });

  test('sizes of their own get no name, and the settings of COCO', () => {
    const list = published(R50).filter(([name]) => !name.includes('dysampler.norm_'));
    const config = guessed(list);
    expect(config.name).toBeUndefined();
    expect(config.network.options.neck).toMatchObject({
      type: 'FreqFusionCARAFEFPN',
      featureResampleNorm: false,
      featureResampleGroup: 4,
      compressRatio: 8,
    });
  });

  test.each([
    ['carafe', { type: 'carafe', upKernel: 5, encoderKernel: 3, compressedChannels: 64 }, undefined],
    ['nothing', { type: 'nearest' }, undefined],
    ['nothing', { type: 'bilinear' }, "upsample_cfg=dict(type='bilinear')"],
  ])('upsamplers of a pyramid by their keys: %s', (keys, want, trainingConfig) => {
    const list = published('faster_rcnn_r50_fpn_carafe.json').filter(
      ([name]) => keys === 'carafe' || !name.startsWith('neck.upsample_modules.'),
    );
    const { neck } = guessed(list, trainingConfig).network.options;
    expect(neck).toMatchObject({ type: 'FPN_CARAFE', upsampleCfg: want });
  });

  test('FreqFusion on a stock pyramid, with three modules, is refused by name', () => {
    const list = published(R50).filter(
      ([name]) => !/neck\.(lateral_convs\.4|fpn_convs\.4|alignment\.3)\./.test(name),
    );
    expect(() => guessed(list)).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_ARCHITECTURE',
        actual: expect.stringContaining('4 lateral_convs, 4 fpn_convs and 3 alignment modules'),
      }),
    );
  });

  test.each([
    ['no detector', [['fc.weight', [3]]] as Shapes, undefined],
    ['a part is missing', published(R50).filter(([name]) => !name.includes('bbox_head.fc_cls')), 'fc_cls'],
    [
      'a backbone of other blocks',
      published(R50).filter(([name]) => !name.includes('layer3.5')),
      'depth 18, 34',
    ],
    [
      'other anchors',
      published(R50).map(([name, shape]): Shapes[number] =>
        name.startsWith('rpn_head.rpn_cls') ? [name, [9, ...shape.slice(1)]] : [name, shape],
      ),
      'anchorGenerator',
    ],
    [
      'stuff without masks',
      [...published(R50), ['semantic_head.conv_logits.weight', [54, 128, 1, 1]]] as Shapes,
      'mask_head',
    ],
  ])('what is no whole detector: %s', (_what, list, message) => {
    if (message === undefined) {
      expect(readDetector(stateOf(list))).toBeUndefined();
      return;
    }
    expect(() => guessed(list)).toThrow(
      expect.objectContaining({
        code: 'ERR_MODEL_ARCHITECTURE',
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe('configs', () => {
  const network = { kind: 'mask_rcnn', options: { roiHead: { bboxHead: { numClasses: 2 } } } };
  test.each([
    [
      'a task of another loader',
      { task: 'semantic-segmentation', network },
      /loadModel \(freqfusion segment\) takes it/,
    ],
    [
      'a task of another kind',
      { task: 'object-detection', network },
      /'instance-segmentation', as network.kind says, for task/,
    ],
    [
      'an unknown kind',
      { network: { ...network, kind: 'yolo' } },
      /one of 'faster_rcnn', 'mask_rcnn', 'panoptic_fpn' for network.kind/,
    ],
    [
      'a typo',
      { network: { kind: 'faster_rcnn', options: { testCfg: { rcnn: { scoreThreshold: 0.1 } } } } },
      /only the members .* for network.options.testCfg.rcnn, got "scoreThreshold"/,
    ],
    [
      'a number of classes',
      { network, classes: ['one'] },
      /2 elements, as network.options.roiHead.bboxHead.numClasses says/,
    ],
    ['no network', {}, /a value for network/],
  ])('%s', (_what, config, message) => {
    expect(() => checkDetectorConfig(config)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_CONFIG', message: expect.stringMatching(message) }),
    );
  });

  /** The config with other options at a path. */
  const having = (options: object) => ({ network: { kind: 'mask_rcnn', options } });
  const rcnn = (member: object) => having({ testCfg: { rcnn: member } });

  test.each([
    having({
      backbone: { depth: 50, numStages: 4, outIndices: [0, 1, 2, 3], frozenStages: 1, normEval: true },
    }),
    having({ backbone: { frozenStages: -1, normEval: false } }),
    having({ neck: { type: 'FPN_CARAFE', upsampleCfg: { type: null } } }),
    having({
      neck: { type: 'FPN_CARAFE', upsampleCfg: { type: 'carafe', upKernel: 7, encoderDilation: 2 } },
    }),
    having({ neck: { type: 'FPN_CARAFE', upsampleCfg: { type: 'deconv', upsampleKernel: 4 } } }),
    having({ roiHead: { maskHead: { upsampleCfg: { type: 'pixel_shuffle', upsampleKernel: 5 } } } }),
    rcnn({ scoreThr: 0, nmsIouThreshold: 1, maskThrBinary: 1 }),
  ])('%j is right, for the network too', (config) => {
    expect(checkDetectorConfig(config)).toBe(config);
    using network = makeDetector(config as unknown as DetectorConfig);
    expect(network.parameterCount).toBeGreaterThan(0);
  });

  test.each([
    [
      having({ backbone: { depth: 49 } }),
      /one of 18, 34, 50, 101, 152 for network\.options\.backbone\.depth/,
    ],
    [having({ backbone: { numStages: 5 } }), /from 1 to 4 for .*numStages/],
    [having({ backbone: { normEval: 1 } }), /true or false for .*normEval/],
    [having({ backbone: { frozenStages: -2 } }), /from -1 to 4 for .*frozenStages/],
    [rcnn({ scoreThr: 1.5 }), /from 0 to 1 for .*rcnn\.scoreThr/],
    [rcnn({ nmsIouThreshold: 2 }), /from 0 to 1 for .*rcnn\.nmsIouThreshold/],
    [rcnn({ maskThrBinary: 0 }), /above 0 for .*rcnn\.maskThrBinary/],
    [rcnn({ maskThrBinary: 127 }), /from 0 to 1 for .*rcnn\.maskThrBinary/],
    [having({ testCfg: { rpn: { nmsIouThreshold: -1 } } }), /from 0 to 1 for .*rpn\.nmsIouThreshold/],
    [having({ testCfg: { panoptic: { maskOverlap: 3 } } }), /from 0 to 1 for .*maskOverlap/],
    [
      having({ neck: { upsampleCfg: 'carafe' } }),
      /an object such as .* for network\.options\.neck\.upsampleCfg/,
    ],
    [
      having({ neck: { upsampleCfg: { type: 'carefe' } } }),
      /'carafe', null, 'deconv' for .*upsampleCfg\.type/,
    ],
    [
      having({ neck: { upsampleCfg: { type: 'nearest', upKernel: 5 } } }),
      /only the members type for .*upsampleCfg/,
    ],
    [having({ neck: { upsampleCfg: { type: 'carafe', upKernel: 4 } } }), /an odd integer for .*upKernel/],
    [having({ neck: { upsampleCfg: { type: 'deconv', upsampleKernel: 5 } } }), /one of 2, 3, 4 for/],
    [having({ roiHead: { maskHead: { upsampleCfg: { type: null } } } }), /maskHead\.upsampleCfg\.type/],
    [having({ roiHead: { maskHead: { upsampleCfg: { upsampleKernel: 3 } } } }), /maskHead\.upsampleCfg/],
  ])('%j is refused', (config, message) => {
    expect(() => checkDetectorConfig(config)).toThrow(
      expect.objectContaining({ code: 'ERR_MODEL_CONFIG', message: expect.stringMatching(message) }),
    );
  });

  test('stuff counts among the classes of a panoptic model', () => {
    const options = {
      roiHead: { bboxHead: { numClasses: 2 } },
      semanticHead: { numThingsClasses: 2, numStuffClasses: 1 },
    };
    const config = { network: { kind: 'panoptic_fpn', options }, classes: ['a', 'b', 'ground'] };
    expect(checkDetectorConfig(config)).toBe(config);
    expect(() => checkDetectorConfig({ ...config, classes: ['a', 'b'] })).toThrow(/3 elements/);
  });
});
