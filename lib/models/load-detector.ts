import { dirname, resolve } from 'node:path';
import { COCO_PANOPTIC, COCO_THINGS } from '../coco/classes';
import type { DetectorOptions } from '../modules/detector-options';
import {
  COCO_PREPROCESS,
  FasterRcnn,
  MaskRcnn,
  PanopticFpn,
  type TwoStageDetector,
} from '../modules/two-stage-detector';
import type { LocatedConfig } from './config-file';
import { DetectionModel } from './detection-model';
import { DETECTORS } from './detector-architectures';
import { classCountOf, type DetectorConfig, type DetectorKind, TASK_OF } from './detector-config';
import {
  type ClassCounts,
  type GuessedDetector,
  guessDetector,
  readClassCounts,
  readDetector,
} from './detector-guess';
import { keyOf, prefixOf } from './loaders';
import { type Described, type LoadOptions, loadNetwork, type ModelKind } from './loading';

/** Options of {@link loadDetector}. */
export interface LoadDetectorOptions extends LoadOptions<DetectorConfig> {}

/**
 * Loads a detector from a checkpoint: a .pth, .pt or .safetensors file, a config.json that names one, or the folder
 * of such a config. Without a path it is the bundled detector of shapes.
 *
 * Throws ERR_MODEL_ARCHITECTURE where the architecture is unknown or cannot be told from the checkpoint,
 * ERR_MODEL_CONFIG for a wrong config, ERR_MODEL_CLASSES where names or colours do not fit the number of classes,
 * CheckpointError for the file, and StateDictError for its keys.
 */
export async function loadDetector(
  path?: string,
  options: LoadDetectorOptions = {},
): Promise<DetectionModel> {
  const { network, located, classes, palette, info } = await loadNetwork(DETECTION, path, options);
  const { config } = located;
  return new DetectionModel({
    network,
    cudaGraph: options.cudaGraph ?? false,
    classes,
    palette,
    info: {
      ...info,
      task: TASK_OF[config.network.kind],
      preprocess: config.preprocess ?? COCO_PREPROCESS,
    },
    things: config.network.options.roiHead?.bboxHead?.numClasses ?? classes.length,
  });
}

const DETECTION: ModelKind<DetectorConfig, TwoStageDetector, LoadDetectorOptions> = {
  registry: DETECTORS,
  knownClasses: [COCO_THINGS, COCO_PANOPTIC].map((classes) => classes.map(({ name }) => name)),
  async describe(stateDict, given, trainingConfig, file) {
    // A config that the caller has chosen needs no guess, and is not to be refused by one: its keys decide.
    if (given !== undefined) {
      const prefix = prefixOf(stateDict, keyOf('loadDetector'));
      return prefix === undefined ? undefined : described(given, prefix, readClassCounts(stateDict, prefix));
    }
    const guess = readDetector(stateDict, trainingConfig);
    if (guess === undefined) return undefined;
    const located = await configOf(guess, file);
    return described(located, guess.prefix, readClassCounts(stateDict, guess.prefix));
  },
  build: (config, _numClasses, options) => makeDetector(config, options),
};

/** The network of a config, its weights not set. */
export function makeDetector(
  { network: { kind, options } }: DetectorConfig,
  loading: LoadDetectorOptions = {},
): TwoStageDetector {
  return new NETWORKS[kind](networkOptions(options, loading));
}

const NETWORKS: Readonly<Record<DetectorKind, new (options: DetectorOptions) => TwoStageDetector>> = {
  faster_rcnn: FasterRcnn,
  mask_rcnn: MaskRcnn,
  panoptic_fpn: PanopticFpn,
};

/** The config that a state dict agrees with: a published one, the bundled one, or one of its own sizes. */
async function configOf(guess: GuessedDetector, file: string): Promise<LocatedConfig<DetectorConfig>> {
  const bundled = await DETECTORS.bundled();
  const config = guessDetector(guess, [...DETECTORS.published(), bundled.config]);
  const folder = config.name === bundled.config.name ? bundled.folder : dirname(resolve(file));
  return { config, folder };
}

function described(
  located: LocatedConfig<DetectorConfig>,
  prefix: string,
  counts: ClassCounts,
): Described<DetectorConfig> {
  const config = withClassCounts(located.config, counts);
  return { located: { ...located, config }, prefix, numClasses: classCountOf(config)! };
}

/** The numbers of classes always follow the checkpoint; what it does not tell is the config's, or COCO's. */
function withClassCounts(config: DetectorConfig, { things, stuff }: ClassCounts): DetectorConfig {
  const { roiHead, semanticHead, ...rest } = config.network.options;
  const numClasses = things ?? roiHead?.bboxHead?.numClasses ?? COCO_THINGS.length;
  const options: DetectorOptions = {
    ...rest,
    roiHead: {
      ...roiHead,
      bboxHead: { ...roiHead?.bboxHead, numClasses },
      ...(roiHead?.maskHead && { maskHead: { ...roiHead.maskHead, numClasses } }),
    },
    ...(config.network.kind === 'panoptic_fpn' && {
      semanticHead: {
        ...semanticHead,
        numThingsClasses: numClasses,
        numStuffClasses: stuff ?? semanticHead?.numStuffClasses ?? COCO_PANOPTIC.length - COCO_THINGS.length,
      },
    }),
  };
  return { ...config, network: { ...config.network, options } };
}

function networkOptions(options: DetectorOptions, { border }: LoadDetectorOptions): DetectorOptions {
  const { neck } = options;
  const filters = neck?.type === undefined || neck.type === 'FreqFusionCARAFEFPN';
  return border === undefined || !filters ? options : { ...options, neck: { ...neck, border } };
}
