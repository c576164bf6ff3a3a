import { ResNet, type ResNetOptions } from '../../modules/resnet';
import { GoldenError } from '../error';
import { type FamilyRunner, named } from '../run';

/** A ResNet's stage outputs. */
export const resNetFamily: FamilyRunner = {
  family: 'resnet',
  async run(run) {
    run.config.choice('type', ['ResNet']);
    const norm = run.config.value('norm_cfg');
    if (typeof norm !== 'object' || norm === null || Array.isArray(norm) || norm.type !== 'BN') {
      throw new GoldenError('config.norm_cfg: expected a norm of type BN');
    }
    const module = new ResNet(run.config.rest() as unknown as ResNetOptions);
    const checks = await run.load(module);
    return { outputs: named(run, await module.forward({ image: await run.input('img') })), checks };
  },
};
