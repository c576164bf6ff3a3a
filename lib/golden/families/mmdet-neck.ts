import { Fpn, type FpnOptions } from '../../modules/fpn';
import type { Tensor } from '../../tensor';
import { camelCase } from '../config';
import { GoldenError } from '../error';
import { type CaseRun, type FamilyRunner, named } from '../run';

/** mmdetection's feature pyramids: the stock one, the one with an upsampler at every step, and FreqFusion's. */
export const mmdetNeckFamily: FamilyRunner = {
  family: 'mmdet_neck',
  async run(run) {
    const module = new Fpn(neckOptions(run));
    const checks = await run.load(module);
    const inputs: Record<string, Tensor> = {};
    for (const { name } of run.golden.inputs) inputs[name] = await run.input(name);
    return { outputs: named(run, await module.forward(inputs)), checks };
  },
};

/** Options of a neck as a case has them: without norm and activation, which are the only ones that run. */
export function neckOptions(run: CaseRun): FpnOptions {
  for (const name of ['norm_cfg', 'act_cfg']) {
    if ((run.config.value(name) ?? null) !== null) {
      throw new GoldenError(`config.${name}: expected null`);
    }
  }
  run.config.value('order');
  const upsample = run.config.value('upsample_cfg');
  const options = run.config.rest();
  if (typeof upsample === 'object' && upsample !== null && !Array.isArray(upsample)) {
    options.upsampleCfg = Object.fromEntries(
      Object.entries(upsample).map(([name, value]) => [camelCase(name), value]),
    );
  }
  return options as unknown as FpnOptions;
}
