import {
  type ClassSimilarity,
  type FeatureMap,
  featureSimilarity,
  type SimilaritySample,
} from '../../analysis/feature-similarity';
import type { LabelMapping } from '../../analysis/label-map';
import type { HostArray } from '../compare';
import type { Config } from '../config';
import { GoldenError } from '../error';
import type { CaseRun, FamilyRunner } from '../run';

/** What the reference prints for a class without figures. */
const NOT_REPORTED = -9;

/** The feature similarity analysis over the images and layers of a case. */
export const similarityFamily: FamilyRunner = {
  family: 'similarity',
  async run(run) {
    const [height, width] = run.config.numbers('gt_size', 2) as [number, number];
    const clip = run.config.value('channel_clip') ?? false;
    if (typeof clip !== 'boolean' && typeof clip !== 'number') {
      throw new GoldenError('config.channel_clip: expected true, false or a number');
    }
    const options = {
      size: [height, width] as const,
      edgeKernel: run.config.integer('edge_k', 5),
      interpolation: run.config.choice('inter_mode', ['bilinear', 'nearest'] as const, 'bilinear'),
      channelClip: clip,
      numClasses: run.config.integer('num_classes', 19),
      labelMap: labelMapping(run.config),
    };
    const limit = run.config.integer('num', 11);
    const result = await featureSimilarity(await samples(run, limit), options);
    const perClass = (of: (entry: ClassSimilarity) => number | null): HostArray =>
      list(result.classes.map((entry) => of(entry) ?? NOT_REPORTED));
    return {
      outputs: {
        intra_mean: perClass((entry) => entry.intraMean),
        intra_std: perClass((entry) => entry.intraStd),
        inter_mean: perClass((entry) => entry.interMean),
        inter_std: perClass((entry) => entry.interStd),
        right_rate: perClass((entry) => entry.rightRate),
        averages: list([
          result.intraMean,
          result.intraStd,
          result.interMean,
          result.interStd,
          result.classRightRate,
          result.pixelRightRate,
        ]),
      },
    };
  },
};

/** One sample an image: label_ids_I with features_I, or with features_L_I for every layer L. */
async function samples(run: CaseRun, limit: number): Promise<SimilaritySample[]> {
  const made: SimilaritySample[] = [];
  for (let image = 0; image < limit && run.hasInput(`label_ids_${image}`); image += 1) {
    const labels = await run.values(`label_ids_${image}`);
    const maps: FeatureMap[] = [];
    if (run.hasInput(`features_${image}`)) maps.push(featureMap(await run.values(`features_${image}`)));
    for (let layer = 0; run.hasInput(`features_${layer}_${image}`); layer += 1) {
      maps.push(featureMap(await run.values(`features_${layer}_${image}`)));
    }
    const [height, width] = labels.shape as [number, number];
    made.push({
      labels: { data: Uint8Array.from(labels.data as ArrayLike<number>), height, width },
      features: maps,
    });
  }
  if (made.length === 0) throw new GoldenError('inputs: "label_ids_0" is missing');
  return made;
}

function featureMap({ data, shape }: HostArray): FeatureMap {
  const [channels, height, width] = shape as [number, number, number];
  if (shape.length !== 3)
    throw new GoldenError(`inputs: expected features [C, H, W], got [${shape.join(', ')}]`);
  return { data: Float32Array.from(data as ArrayLike<number>), channels, height, width };
}

function labelMapping(config: Config): LabelMapping {
  const value = config.value('label_map') ?? 'cityscapes';
  if (value === 'identity' || value === 'none') return 'identity';
  if (typeof value === 'string' && /^cityscapes\b/.test(value)) return 'cityscapes';
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<number, number>;
  throw new GoldenError(
    `config.label_map: expected cityscapes, identity or a table, got ${JSON.stringify(value)}`,
  );
}

function list(values: number[]): HostArray {
  return { dtype: 'float64', shape: [values.length], data: Float64Array.from(values) };
}
