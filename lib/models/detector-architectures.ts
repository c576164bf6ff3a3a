import { join } from 'node:path';
import { COCO_PANOPTIC, COCO_THINGS } from '../coco/classes';
import type { DetectorNeckOptions, DetectorOptions } from '../modules/detector-options';
import { COCO_PREPROCESS } from '../modules/two-stage-detector';
import type { LocatedConfig } from './config-file';
import { checkDetectorConfig, type DetectorConfig, type DetectorKind, TASK_OF } from './detector-config';
import { Registry } from './registry';

/** Folder of the detector that comes with the package. */
export const BUNDLED_DETECTOR_FOLDER = join(__dirname, '..', '..', 'models', 'shapes');

/** The architecture of the detector that comes with the package. */
export const BUNDLED_DETECTOR = 'shapes-mask-rcnn-r18-freqfusion';

/** The FreqFusion neck as all released configs have it; groups and norm of the offset generator vary. */
function freqFusionNeck(featureResampleGroup: number, featureResampleNorm: boolean): DetectorNeckOptions {
  return {
    type: 'FreqFusionCARAFEFPN',
    outChannels: 256,
    numOuts: 5,
    useHighPass: true,
    useLowPass: true,
    lowpassKernel: 5,
    highpassKernel: 3,
    compressRatio: 8,
    compFeatUpsample: true,
    featureResample: true,
    featureResampleGroup,
    featureResampleNorm,
    semiConv: true,
  };
}

const FAMILIES = {
  'faster-rcnn': { kind: 'faster_rcnn', title: 'Faster R-CNN' },
  'mask-rcnn': { kind: 'mask_rcnn', title: 'Mask R-CNN' },
  'panoptic-fpn': { kind: 'panoptic_fpn', title: 'Panoptic FPN' },
} as const;

/** What the six released configs differ in. */
const RELEASED = [
  { family: 'faster-rcnn', depth: 50, groups: 4, norm: true },
  { family: 'faster-rcnn', depth: 101, groups: 8, norm: true },
  { family: 'mask-rcnn', depth: 50, groups: 4, norm: true },
  { family: 'mask-rcnn', depth: 101, groups: 4, norm: true },
  { family: 'panoptic-fpn', depth: 50, groups: 4, norm: false },
  { family: 'panoptic-fpn', depth: 101, groups: 4, norm: true },
] as const;

function networkOptions(kind: DetectorKind, depth: 50 | 101, neck: DetectorNeckOptions): DetectorOptions {
  return {
    backbone: { depth },
    neck,
    roiHead: { bboxHead: { numClasses: COCO_THINGS.length } },
    ...(kind === 'panoptic_fpn' && {
      semanticHead: {
        numThingsClasses: COCO_THINGS.length,
        numStuffClasses: COCO_PANOPTIC.length - COCO_THINGS.length,
      },
    }),
  };
}

/** A model for COCO; its input is padded to multiples of `divisor`. */
function forCoco(
  kind: DetectorKind,
  { name, description }: { name: string; description: string },
  options: DetectorOptions,
  divisor: 32 | 64,
): DetectorConfig {
  const classes = kind === 'panoptic_fpn' ? COCO_PANOPTIC : COCO_THINGS;
  return {
    name,
    description,
    task: TASK_OF[kind],
    network: { kind, options },
    preprocess: { ...COCO_PREPROCESS, multiple: { divisor, how: 'pad' } },
    classes: classes.map((each) => each.name),
    palette: classes.map((each) => each.color),
  };
}

function withFreqFusion({ family, depth, groups, norm }: (typeof RELEASED)[number]): DetectorConfig {
  const { kind, title } = FAMILIES[family];
  const name = `${family}-r${depth}-freqfusion`;
  const description = `${title} with ResNet-${depth} and FreqFusion in its pyramid, COCO`;
  return forCoco(kind, { name, description }, networkOptions(kind, depth, freqFusionNeck(groups, norm)), 64);
}

/** The model that the authors compare one of theirs with. */
function baseline({ family, depth }: (typeof RELEASED)[number]): DetectorConfig {
  const { kind, title } = FAMILIES[family];
  const name = `${family}-r${depth}-fpn`;
  const description = `${title} with ResNet-${depth} and a plain feature pyramid, COCO`;
  const neck: DetectorNeckOptions = { type: 'FPN', outChannels: 256, numOuts: 5 };
  return forCoco(kind, { name, description }, networkOptions(kind, depth, neck), 32);
}

/** The two models of the CARAFE paper. */
function withCarafe(family: 'faster-rcnn' | 'mask-rcnn'): DetectorConfig {
  const { kind, title } = FAMILIES[family];
  const name = `${family}-r50-fpn-carafe`;
  const description = `${title} with ResNet-50 and CARAFE as its upsampler, COCO`;
  const upsampleCfg = { type: 'carafe' } as const;
  const neck: DetectorNeckOptions = { type: 'FPN_CARAFE', outChannels: 256, numOuts: 5, upsampleCfg };
  const options = networkOptions(kind, 50, neck);
  const roiHead = { ...options.roiHead, ...(kind === 'mask_rcnn' && { maskHead: { upsampleCfg } }) };
  return forCoco(kind, { name, description }, { ...options, roiHead }, 64);
}

function published(): Map<string, DetectorConfig> {
  const configs = [
    ...RELEASED.map(withFreqFusion),
    ...RELEASED.map(baseline),
    withCarafe('faster-rcnn'),
    withCarafe('mask-rcnn'),
  ];
  return new Map(configs.map((each) => [each.name!, each]));
}

/** The architectures of `loadDetector`. */
export const DETECTORS: Registry<DetectorConfig> = new Registry({
  published: published(),
  bundled: { name: BUNDLED_DETECTOR, folder: BUNDLED_DETECTOR_FOLDER },
  loader: 'loadDetector',
  check: checkDetectorConfig,
});

/** Names that `architecture` of `loadDetector` takes, beside the path of a config.json and a config object. */
export const DETECTOR_ARCHITECTURES: readonly string[] = DETECTORS.names;

/**
 * The config that an `architecture` argument of `loadDetector` stands for: a registered name, the path of a
 * config.json (or of the folder with one), or a config object, whose files are relative to the working directory.
 * Throws ERR_MODEL_ARCHITECTURE for a name that is none of these and ERR_MODEL_CONFIG for a wrong config.
 */
export function resolveDetectorArchitecture(
  architecture: string | DetectorConfig,
): Promise<LocatedConfig<DetectorConfig>> {
  return DETECTORS.resolve(architecture);
}
