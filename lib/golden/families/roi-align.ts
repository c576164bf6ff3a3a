import { type BoxType, roiAlign, roiExtract, roiLevels } from '../../ops/roi-align';
import type { Tensor } from '../../tensor';
import { boxesOf } from '../boxes';
import type { Config } from '../config';
import { GoldenError } from '../error';
import type { FamilyRunner } from '../run';

/** RoIAlign on one map, and the extractor that gives every box its level of a pyramid. */
export const roiAlignFamily: FamilyRunner = {
  family: 'roi_align',
  async run(run) {
    const options = {
      outputSize: outputSize(run.config),
      samplingRatio: run.config.integer('sampling_ratio', 0),
      aligned: run.config.boolean('aligned', true),
    };
    const rois = (await boxesOf(run, 'rois')) as Tensor<BoxType<'float32'>>;
    run.config.choice('pool_mode', ['avg'], 'avg');
    if (run.config.value('type') === undefined) {
      const spatialScale = run.config.number('spatial_scale', 1);
      const features = (await run.input('feat')) as Tensor<'float32'>;
      return { outputs: { out: await roiAlign(features, rois, { ...options, spatialScale }) } };
    }
    run.config.choice('type', ['SingleRoIExtractor']);
    const strides = run.config.numbers('featmap_strides');
    const finestScale = run.config.number('finest_scale', 56);
    const features: Tensor<'float32'>[] = [];
    for (let i = 0; i < strides.length; i += 1)
      features.push((await run.input(`p${i + 2}`)) as Tensor<'float32'>);
    const channels = run.config.integer('out_channels');
    if (features.some(({ shape }) => shape[1] !== channels))
      throw new GoldenError(`config.out_channels: expected the channels of the maps, got ${channels}`);
    return {
      outputs: {
        out: await roiExtract(features, rois, { ...options, strides, finestScale }),
        level: await roiLevels(rois, { levels: strides.length, finestScale }),
      },
    };
  },
};

function outputSize(config: Config): number | [number, number] {
  const value = config.value('output_size');
  return typeof value === 'number' ? value : (config.numbers('output_size', 2) as [number, number]);
}
