import type { DetectorOptions } from '../modules/detector-options';
import { BASE_MEMBERS, type BaseConfig, checkClassCounts, FUSION_MEMBERS } from './config-file';
import { checkTask } from './loaders';
import {
  type Check,
  configError,
  flag,
  fraction,
  list,
  object,
  odd,
  oneOf,
  orNull,
  positive,
  share,
  whole,
} from './schema';

/** What a detector finds: boxes; boxes with masks; or also the class of what is not countable. */
export type DetectionTask = 'object-detection' | 'instance-segmentation' | 'panoptic-segmentation';

/** Native module of a detector. */
export type DetectorKind = 'faster_rcnn' | 'mask_rcnn' | 'panoptic_fpn';

/** What each kind of detector is for. */
export const TASK_OF: Readonly<Record<DetectorKind, DetectionTask>> = {
  faster_rcnn: 'object-detection',
  mask_rcnn: 'instance-segmentation',
  panoptic_fpn: 'panoptic-segmentation',
};

/**
 * Everything that makes a detector of a checkpoint: what its config.json holds. Members but `network` have defaults:
 * mmdetection's COCO test pipeline for `preprocess`, the network's kind for `task`. A panoptic model's classes are
 * its things, then its stuff.
 */
export interface DetectorConfig extends BaseConfig {
  readonly task?: DetectionTask;
  readonly network: { readonly kind: DetectorKind; readonly options: DetectorOptions };
}

/** Members beside `type`, by type. */
type UpsamplerMembers = readonly (readonly [type: string | null, members: Readonly<Record<string, Check>>])[];

const upsamplers: UpsamplerMembers = [
  ['nearest', {}],
  ['bilinear', {}],
  ['pixel_shuffle', { upsampleKernel: odd }],
  [
    'carafe',
    {
      upKernel: odd,
      upGroup: whole(1),
      encoderKernel: odd,
      encoderDilation: whole(1),
      compressedChannels: whole(1),
    },
  ],
];

/** An upsampler: what its type has, and nothing of another type. */
function upsampler(kinds: UpsamplerMembers, fallback: string | null): Check {
  const type = oneOf(...kinds.map(([name]) => name));
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw configError(path, 'an object such as { "type": "carafe" }', value);
    }
    const { type: given = fallback } = value as { type?: unknown };
    type(given, `${path}.type`);
    const [, members] = kinds.find(([name]) => name === given)!;
    object({ type, ...members })(value, path);
  };
}

const neckUpsampler = upsampler(
  [...upsamplers, [null, {}], ['deconv', { upsampleKernel: oneOf(2, 3, 4) }]],
  null,
);
// The kernel of the mask head's own transposed convolution is no option.
const maskUpsampler = upsampler([...upsamplers, ['deconv', { scaleFactor: whole(2, 2) }]], 'deconv');

const backbone = object({
  depth: oneOf(18, 34, 50, 101, 152),
  inChannels: whole(1),
  baseChannels: whole(1),
  numStages: whole(1, 4),
  outIndices: list(whole(0)),
  style: oneOf('pytorch', 'caffe'),
  // Of training alone; published configs have them.
  frozenStages: whole(-1, 4),
  normEval: flag,
});

const neck = object({
  type: oneOf('FPN', 'FPN_CARAFE', 'FreqFusionCARAFEFPN'),
  inChannels: list(whole(1)),
  outChannels: whole(1),
  numOuts: whole(1),
  upsampleCfg: neckUpsampler,
  compressRatio: whole(1),
  ...FUSION_MEMBERS,
});

const number: Check = (value, path) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw configError(path, 'a number', value);
};

const bboxCoder = object({ targetMeans: list(number, 4), targetStds: list(positive, 4) });

const rpnHead = object({
  inChannels: whole(1),
  featChannels: whole(1),
  anchorGenerator: object({ scales: list(positive), ratios: list(positive), strides: list(whole(1)) }),
  bboxCoder,
});

const roiExtractor = object({
  outputSize: whole(1),
  samplingRatio: whole(0),
  featmapStrides: list(whole(1)),
  finestScale: positive,
});

const roiHead = object({
  bboxRoiExtractor: roiExtractor,
  bboxHead: object({
    inChannels: whole(1),
    fcOutChannels: whole(1),
    numClasses: whole(1),
    regClassAgnostic: flag,
    bboxCoder,
  }),
  maskRoiExtractor: roiExtractor,
  maskHead: orNull(
    object({
      inChannels: whole(1),
      convOutChannels: whole(1),
      numConvs: whole(0),
      numClasses: whole(1),
      classAgnostic: flag,
      upsampleCfg: maskUpsampler,
    }),
  ),
});

const semanticHead = object({
  numThingsClasses: whole(1),
  numStuffClasses: whole(1),
  inChannels: whole(1),
  innerChannels: whole(1),
  normGroups: whole(1),
});

/** At 0 every pixel of an image would belong to every mask. */
const positiveFraction: Check = (value, path) => {
  positive(value, path);
  fraction(value, path);
};

const detectionTest: Readonly<Record<string, Check>> = {
  scoreThr: fraction,
  nmsIouThreshold: fraction,
  classAgnosticNms: flag,
  maxPerImg: whole(1),
  maskThrBinary: positiveFraction,
};

const testCfg = object({
  rpn: object({ nmsPre: whole(1), maxPerImg: whole(1), nmsIouThreshold: fraction, minBboxSize: share }),
  rcnn: object(detectionTest),
  panoptic: object({ ...detectionTest, maskOverlap: fraction, stuffAreaLimit: whole(0) }),
});

const config = object(
  {
    ...BASE_MEMBERS,
    task: oneOf(...Object.values(TASK_OF)),
    network: object(
      {
        kind: oneOf(...Object.keys(TASK_OF)),
        options: object({ backbone, neck, rpnHead, roiHead, semanticHead, testCfg }),
      },
      ['kind', 'options'],
    ),
  },
  ['network'],
);

/** Classes of a detector: things alone, or things and stuff. Undefined where the config leaves them to the checkpoint. */
export function classCountOf({ network }: DetectorConfig): number | undefined {
  const things = network.options.roiHead?.bboxHead?.numClasses;
  if (network.kind !== 'panoptic_fpn' || things === undefined) return things;
  const stuff = network.options.semanticHead?.numStuffClasses;
  return stuff === undefined ? undefined : things + stuff;
}

/** Checks a detector's config; throws ERR_MODEL_CONFIG naming the member that is wrong, unknown or missing. */
export function checkDetectorConfig(value: unknown): DetectorConfig {
  checkTask(value, 'loadDetector');
  config(value, '');
  const checked = value as DetectorConfig;
  const { task, network } = checked;
  if (task !== undefined && task !== TASK_OF[network.kind]) {
    throw configError('task', `'${TASK_OF[network.kind]}', as network.kind says,`, task);
  }
  const counted =
    network.kind === 'panoptic_fpn'
      ? 'network.options (numClasses of the box head and numStuffClasses)'
      : 'network.options.roiHead.bboxHead.numClasses';
  checkClassCounts(checked, classCountOf(checked), counted);
  return checked;
}
