import { panopticFusion } from '../../ops/panoptic-fusion';
import type { HostArray } from '../compare';
import { GoldenError } from '../error';
import type { FamilyRunner } from '../run';

/** The fusion of instances and a semantic map: ids, and which instances are in it. */
export const panopticFusionFamily: FamilyRunner = {
  family: 'panoptic_fusion',
  async run(run) {
    const options = {
      numThingsClasses: run.config.integer('num_things_classes'),
      numStuffClasses: run.config.integer('num_stuff_classes'),
      maskThrBinary: run.config.number('mask_thr_binary'),
      maskOverlap: run.config.number('mask_overlap'),
      stuffAreaLimit: run.config.integer('stuff_area_limit'),
    };
    if (run.config.integer('INSTANCE_OFFSET', 1000) !== 1000) {
      throw new GoldenError('config.INSTANCE_OFFSET: expected 1000');
    }
    const boxes = await run.values('det_bboxes');
    const labels = await run.values('det_labels');
    const count = boxes.shape[0]!;
    const scores = Float32Array.from({ length: count }, (_, i) => Number(boxes.data[i * 5 + 4]));
    const { panoptic, pasted } = await panopticFusion(
      {
        scores: run.place({ dtype: 'float32', shape: [count], data: scores }),
        labels: run.place(labels) as never,
        masks: await run.input('mask_preds'),
        semantic: await run.input('seg_preds'),
      },
      options,
    );
    const ids = await panoptic.data();
    const kept = Array.from(await pasted.data(), (index) => Number(labels.data[Number(index)]));
    const numbers: HostArray = {
      dtype: 'int32',
      shape: panoptic.shape,
      data: Int32Array.from(ids, (id) => Math.floor(id / 1000)),
    };
    return {
      outputs: {
        id_map: numbers,
        left_labels: { dtype: 'int32', shape: [kept.length], data: Int32Array.from(kept) },
        pan_results: panoptic,
      },
    };
  },
};
