import type { StateDict } from '../checkpoint/state-dict';
import { FreqFusionError } from '../errors';
import type {
  DetectorBackboneOptions,
  DetectorNeckOptions,
  DetectorOptions,
  MaskHeadOptions,
} from '../modules/detector-options';
import type { UpsampleConfig } from '../modules/fpn';
import { freqFusionOptionsFrom } from '../modules/freqfusion-options';
import type { DetectorConfig, DetectorKind } from './detector-config';
import { compressRatio } from './guess';
import { keyOf, prefixOf } from './loaders';

/** What a state dict tells of the detector that it belongs to. */
export interface GuessedDetector {
  /** What stands before `backbone.` in its keys, such as 'model.'. */
  readonly prefix: string;
  readonly kind: DetectorKind;
  /** All options that shapes and names reveal. */
  readonly options: DetectorOptions;
  /** Anchors a cell, whose sizes and ratios no key reveals. */
  readonly anchors: number;
}

/** Blocks of the four stages of a ResNet, by its depth. */
const RESNETS: readonly { depth: 18 | 34 | 50 | 101 | 152; blocks: string; bottleneck: boolean }[] = [
  { depth: 18, blocks: '2, 2, 2, 2', bottleneck: false },
  { depth: 34, blocks: '3, 4, 6, 3', bottleneck: false },
  { depth: 50, blocks: '3, 4, 6, 3', bottleneck: true },
  { depth: 101, blocks: '3, 4, 23, 3', bottleneck: true },
  { depth: 152, blocks: '3, 8, 36, 3', bottleneck: true },
];

function refuse(expected: string, actual: string): never {
  throw new FreqFusionError(
    'ERR_MODEL_ARCHITECTURE',
    `expected ${expected} in the checkpoint, got ${actual}`,
    { expected, actual },
  );
}

/** The shapes of a state dict's tensors, by names without the prefix. */
class Shapes {
  constructor(
    readonly state: StateDict,
    readonly prefix: string,
  ) {}

  has(name: string): boolean {
    return this.state.has(name);
  }

  side(name: string, axis: number): number {
    return (
      this.state.get(name)?.shape[axis] ??
      refuse(`the key ${this.prefix}${name} of a whole detector`, 'no such key')
    );
  }

  /** How many of a series of modules there are: `name(0)`, `name(1)`, ... */
  count(name: (index: number) => string): number {
    let count = 0;
    while (this.has(name(count))) count++;
    return count;
  }
}

/** Numbers of classes that a state dict reveals; undefined where it lacks the layer that tells. */
export interface ClassCounts {
  readonly things: number | undefined;
  readonly stuff: number | undefined;
}

/** Reads the numbers of classes, without the background, from the last layers of the heads; refuses nothing. */
export function readClassCounts(stateDict: StateDict, prefix: string): ClassCounts {
  const classes = (head: string): number | undefined => {
    const rows = stateDict.get(`${prefix}${head}.weight`)?.shape[0];
    return rows !== undefined && rows > 1 ? rows - 1 : undefined;
  };
  return { things: classes('roi_head.bbox_head.fc_cls'), stuff: classes('semantic_head.conv_logits') };
}

/** Reads a detector's options from the names and shapes of a state dict; undefined where it is none. */
export function readDetector(stateDict: StateDict, trainingConfig?: string): GuessedDetector | undefined {
  const prefix = prefixOf(stateDict, keyOf('loadDetector'));
  if (prefix === undefined) return undefined;
  const shapes = new Shapes(stateDict.withPrefix(prefix), prefix);
  const hasMasks = shapes.has('roi_head.mask_head.conv_logits.weight');
  const hasStuff = shapes.has('semantic_head.conv_logits.weight');
  if (hasStuff && !hasMasks) {
    refuse(
      'the mask head that a panoptic model has',
      `no key ${prefix}roi_head.mask_head.conv_logits.weight`,
    );
  }
  const numClasses = shapes.side('roi_head.bbox_head.fc_cls.weight', 0) - 1;
  const outputs = shapes.side('roi_head.bbox_head.fc_reg.weight', 0);
  const neck = readNeck(shapes, trainingConfig);
  const { outChannels } = neck as { outChannels: number };
  const binsOf = shapes.side('roi_head.bbox_head.shared_fcs.0.weight', 1) / outChannels;
  const options: DetectorOptions = {
    backbone: readBackbone(shapes),
    neck,
    rpnHead: { featChannels: shapes.side('rpn_head.rpn_conv.weight', 0) },
    roiHead: {
      bboxRoiExtractor: { outputSize: Math.sqrt(binsOf) },
      bboxHead: {
        fcOutChannels: shapes.side('roi_head.bbox_head.shared_fcs.0.weight', 0),
        numClasses,
        regClassAgnostic: outputs === 4 && numClasses > 1,
      },
      ...(hasMasks && { maskHead: readMaskHead(shapes, numClasses) }),
    },
    ...(hasStuff && {
      semanticHead: {
        numThingsClasses: numClasses,
        numStuffClasses: shapes.side('semantic_head.conv_logits.weight', 0) - 1,
        innerChannels: shapes.side('semantic_head.conv_logits.weight', 1),
      },
    }),
  };
  const kind = hasStuff ? 'panoptic_fpn' : hasMasks ? 'mask_rcnn' : 'faster_rcnn';
  return { prefix, kind, options, anchors: shapes.side('rpn_head.rpn_cls.weight', 0) };
}

function readBackbone(shapes: Shapes): DetectorBackboneOptions {
  const stem = 'backbone.conv1.weight';
  const stages = [1, 2, 3, 4].map((stage) =>
    shapes.count((block) => `backbone.layer${stage}.${block}.conv1.weight`),
  );
  const bottleneck = shapes.has('backbone.layer1.0.conv3.weight');
  const blocks = stages.join(', ');
  const found = RESNETS.find((each) => each.blocks === blocks && each.bottleneck === bottleneck);
  const known = RESNETS.map(({ depth }) => depth).join(', ');
  const { depth } =
    found ?? refuse(`a ResNet of depth ${known}`, `${bottleneck ? 'bottleneck' : 'basic'} blocks ${blocks}`);
  return { depth, inChannels: shapes.side(stem, 1), baseChannels: shapes.side(stem, 0) };
}

function readNeck(shapes: Shapes, trainingConfig: string | undefined): DetectorNeckOptions {
  const laterals = shapes.count((level) => `neck.lateral_convs.${level}.conv.weight`);
  const outputs = shapes.count((level) => `neck.fpn_convs.${level}.conv.weight`);
  const outChannels = shapes.side('neck.fpn_convs.0.conv.weight', 0);
  const fusions = shapes.count((level) => `neck.alignment.${level}.content_encoder.weight`);
  if (fusions > 0) {
    if (laterals !== 5 || outputs !== 5 || fusions !== 4) {
      refuse(
        `the five-level form of FreqFusionCARAFEFPN (5 lateral_convs, 5 fpn_convs, 4 alignment modules, as in the released code)`,
        `${laterals} lateral_convs, ${outputs} fpn_convs and ${fusions} alignment modules; FreqFusion on a stock FPN is not supported`,
      );
    }
    const { hrChannels, lrChannels, compressedChannels, encoderKernel, ...fusion } = freqFusionOptionsFrom(
      shapes.state,
      'neck.alignment.0.',
    );
    const step = { pre: lrChannels, hr: hrChannels, compressed: compressedChannels };
    return {
      type: 'FreqFusionCARAFEFPN',
      outChannels,
      numOuts: 5,
      compressRatio: compressRatio([step], 'neck.alignment'),
      ...(encoderKernel !== undefined && { encoderKernel }),
      ...fusion,
    };
  }
  // The stock neck has no lateral of its own for the fifth level, which it pools from the fourth.
  if (laterals === 4 && outputs === 4) return { type: 'FPN', outChannels, numOuts: 5 };
  return {
    type: 'FPN_CARAFE',
    outChannels,
    numOuts: outputs,
    upsampleCfg: readUpsampler(shapes, 'neck.upsample_modules.0.') ?? {
      // Nearest and bilinear upsampling leave no keys: the training config may tell.
      type: /upsample_cfg\W+(dict\W+)?type\W+bilinear/.test(trainingConfig ?? '') ? 'bilinear' : 'nearest',
    },
  };
}

/** An upsampler by its keys; undefined where it has none. */
function readUpsampler(shapes: Shapes, at: string): UpsampleConfig | undefined {
  if (shapes.has(`${at}channel_compressor.weight`)) {
    const upGroup = 1;
    return {
      type: 'carafe',
      upKernel: Math.sqrt(shapes.side(`${at}content_encoder.weight`, 0) / 4 / upGroup),
      upGroup,
      encoderKernel: shapes.side(`${at}content_encoder.weight`, 2),
      compressedChannels: shapes.side(`${at}channel_compressor.weight`, 0),
    };
  }
  if (shapes.has(`${at}upsample_conv.weight`)) {
    return { type: 'pixel_shuffle', upsampleKernel: shapes.side(`${at}upsample_conv.weight`, 2) };
  }
  if (shapes.has(`${at}weight`)) {
    return { type: 'deconv', upsampleKernel: shapes.side(`${at}weight`, 2) as 2 | 3 | 4 };
  }
  return undefined;
}

function readMaskHead(shapes: Shapes, numClasses: number): MaskHeadOptions {
  const at = 'roi_head.mask_head.';
  const classes = shapes.side(`${at}conv_logits.weight`, 0);
  const upsampler = readUpsampler(shapes, `${at}upsample.`);
  // The head's own deconvolution is the default, and its kernel no option.
  const upsampleCfg = upsampler?.type === 'deconv' ? undefined : upsampler;
  return {
    numConvs: shapes.count((index) => `${at}convs.${index}.conv.weight`),
    convOutChannels: shapes.side(`${at}conv_logits.weight`, 1),
    classAgnostic: classes === 1 && numClasses > 1,
    ...(upsampleCfg && { upsampleCfg }),
  };
}

/** What must agree for a state dict to belong to a known architecture; the numbers of classes may differ. */
function fingerprint(kind: DetectorKind, options: DetectorOptions): string {
  const { backbone = {}, neck = {}, rpnHead = {}, roiHead = {}, semanticHead = {} } = options;
  const { depth = 50, baseChannels = 64 } = backbone;
  const { type = 'FreqFusionCARAFEFPN', outChannels = 256, numOuts = 5 } = neck;
  const {
    compressRatio: ratio = 8,
    featureResample = true,
    featureResampleGroup = 4,
    featureResampleNorm = true,
  } = neck;
  const fusion =
    type === 'FreqFusionCARAFEFPN'
      ? [ratio, featureResample, featureResample && [featureResampleGroup, featureResampleNorm]]
      : [neck.upsampleCfg?.type];
  const { fcOutChannels = 1024, regClassAgnostic = false } = roiHead.bboxHead ?? {};
  const { numConvs = 4, convOutChannels = 256, upsampleCfg } = roiHead.maskHead ?? {};
  const masks = kind === 'faster_rcnn' ? [] : [numConvs, convOutChannels, upsampleCfg?.type ?? 'deconv'];
  const stuff = kind === 'panoptic_fpn' ? [semanticHead.innerChannels ?? 128] : [];
  return JSON.stringify([
    kind,
    [depth, baseChannels],
    [type, outChannels, numOuts, fusion],
    rpnHead.featChannels ?? outChannels,
    [fcOutChannels, regClassAgnostic],
    masks,
    stuff,
  ]);
}

/** Anchors a cell of a config's region proposal network. */
function anchorsOf({ rpnHead }: DetectorOptions): number {
  const { scales = [8], ratios = [0.5, 1, 2] } = rpnHead?.anchorGenerator ?? {};
  return scales.length * ratios.length;
}

/**
 * Completes what a state dict reveals with what it does not: anchors, test settings and the input pipeline, of the
 * known architecture that it agrees with, or mmdetection's for COCO. Returns that architecture's config, or one
 * without a name for a network of other sizes.
 * Throws ERR_MODEL_ARCHITECTURE where neither has its number of anchors.
 */
export function guessDetector(guess: GuessedDetector, known: Iterable<DetectorConfig>): DetectorConfig {
  const print = fingerprint(guess.kind, guess.options);
  const agrees = ({ network }: DetectorConfig) =>
    fingerprint(network.kind, network.options) === print && anchorsOf(network.options) === guess.anchors;
  const match = [...known].find(agrees);
  if (match === undefined && guess.anchors !== anchorsOf({})) {
    const expected = `${anchorsOf({})} anchors a cell, as mmdetection's COCO models have,`;
    refuse(
      expected,
      `${guess.anchors} anchors, whose sizes no key tells: give a config.json with network.options.rpnHead.anchorGenerator`,
    );
  }
  const { network, classes, palette, ...rest } = match ?? {};
  const options = merged(network?.options ?? {}, guess.options);
  const same = match !== undefined && sameClasses(match.network.options, guess.options);
  return {
    ...rest,
    ...(same && classes && { classes }),
    ...(same && palette && { palette }),
    network: { kind: guess.kind, options },
  };
}

function sameClasses(a: DetectorOptions, b: DetectorOptions): boolean {
  return (
    a.roiHead?.bboxHead?.numClasses === b.roiHead?.bboxHead?.numClasses &&
    a.semanticHead?.numStuffClasses === b.semanticHead?.numStuffClasses
  );
}

/** The second's members over the first's, object by object. */
function merged<T extends object>(base: T, over: T): T {
  const result = { ...base } as Record<string, unknown>;
  for (const [name, value] of Object.entries(over)) {
    const before = result[name];
    result[name] = isPlain(before) && isPlain(value) ? merged(before, value) : value;
  }
  return result as T;
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
