import { BORDERS, carafe, carafeBackward } from '../../ops/carafe';
import type { FamilyRunner, RunResult } from '../run';

/** CARAFE's reassembly and its gradients. */
export const carafeFamily: FamilyRunner = {
  family: 'carafe',
  async run(run) {
    const options = {
      kernelSize: run.config.integer('kernel_size', 5),
      scale: run.config.integer('up', 2),
      groups: run.config.integer('group', 1),
      border: run.config.choice('border', BORDERS, 'zeros'),
    };
    const features = await run.input('features');
    const masks = await run.input('mask');
    const outputs: RunResult['outputs'] = { output: await carafe(features, masks, options) };
    if (run.hasInput('grad_output')) {
      const gradients = await carafeBackward(await run.input('grad_output'), features, masks, options);
      outputs.grad_features = gradients.gradFeatures;
      outputs.grad_mask = gradients.gradMasks;
    }
    return { outputs };
  },
};
