import { OffsetGenerator, type OffsetGeneratorOptions } from '../../modules/offset-generator';
import { offsetSampler, offsetSamplerBackward } from '../../ops/offset-sampler';
import { GoldenError } from '../error';
import { type FamilyRunner, named, type RunResult } from '../run';

/** The offset generator as a whole, or, where the offsets are inputs, its sampling alone. */
export const offsetSamplerFamily: FamilyRunner = {
  family: 'offset_sampler',
  async run(run) {
    if (!run.hasInput('offset')) {
      const generator = new OffsetGenerator(run.config.rest() as unknown as OffsetGeneratorOptions);
      const checks = await run.load(generator);
      const inputs = {
        hrX: await run.input('hr_x'),
        lrX: await run.input('lr_x'),
        feat2sample: await run.input('feat2sample'),
      };
      const { stages, ...results } = await generator.forward(inputs, { stages: true });
      return { outputs: named(run, { ...stages, ...results }), checks };
    }
    // The reference's sampler has this one scale.
    run.config.choice('style', ['lp'], 'lp');
    if (run.config.integer('scale', 2) !== 2) throw new GoldenError('config.scale: expected 2');
    const options = { groups: run.config.integer('groups', 4) };
    const x = await run.input('x');
    const offset = await run.input('offset');
    const outputs: RunResult['outputs'] = { output: await offsetSampler(x, offset, options) };
    if (run.hasInput('grad_output')) {
      const gradients = await offsetSamplerBackward(await run.input('grad_output'), x, offset, options);
      outputs.grad_x = gradients.gradX;
      outputs.grad_offset = gradients.gradOffset;
    }
    return { outputs };
  },
};
