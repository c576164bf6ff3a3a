import { type BoxDecoderOptions, bbox2delta, delta2bbox } from '../../ops/box-coder';
import { boxesOf } from '../boxes';
import type { Config } from '../config';
import type { FamilyRunner } from '../run';

type Four = [number, number, number, number];

/** Decoding and encoding of boxes. */
export const boxCoderFamily: FamilyRunner = {
  family: 'delta2bbox',
  async run(run) {
    const scaling = {
      means: run.config.numbers('means', 4) as Four,
      stds: run.config.numbers('stds', 4) as Four,
    };
    const rois = await boxesOf(run, 'rois');
    if (run.config.choice('op', ['delta2bbox', 'bbox2delta'], 'delta2bbox') === 'bbox2delta') {
      return { outputs: { deltas: await bbox2delta(rois, await boxesOf(run, 'gt'), scaling) } };
    }
    const options: BoxDecoderOptions = {
      ...scaling,
      maxShape: maxShape(run.config),
      whRatioClip: run.config.number('wh_ratio_clip', 16 / 1000),
      clipBorder: run.config.boolean('clip_border', true),
      addCenterClamp: run.config.boolean('add_ctr_clamp', false),
      centerClamp: run.config.number('ctr_clamp', 32),
    };
    return { outputs: { bboxes: await delta2bbox(rois, await boxesOf(run, 'deltas'), options) } };
  },
};

/** [height, width] of the reference's image shape [height, width, channels]. */
function maxShape(config: Config): [number, number] | null {
  if ((config.value('max_shape') ?? null) === null) return null;
  const [height, width] = config.numbers('max_shape', 3);
  return [height!, width!];
}
