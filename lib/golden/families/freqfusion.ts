import { FreqFusion, type FreqFusionOptions } from '../../modules/freqfusion';
import { FusionPyramid, type FusionPyramidOptions } from '../../modules/fusion-pyramid';
import type { Tensor } from '../../tensor';
import { type CaseRun, type FamilyRunner, named, type RunResult } from '../run';

/** One FreqFusion with its intermediate results, or one of the README's recipes over a feature pyramid. */
export const freqFusionFamily: FamilyRunner = {
  family: 'freqfusion',
  run: (run) => (run.config.has('recipe') ? runRecipe(run) : runModule(run)),
};

async function runModule(run: CaseRun): Promise<RunResult> {
  const module = new FreqFusion(run.config.rest() as unknown as FreqFusionOptions);
  const checks = await run.load(module);
  const inputs = { hrFeat: await run.input('hr_feat'), lrFeat: await run.input('lr_feat') };
  const { stages, ...results } = await module.forward(inputs, { stages: true });
  return { outputs: named(run, { ...stages, ...results }), checks };
}

async function runRecipe(run: CaseRun): Promise<RunResult> {
  const levels = run.golden.inputs.map(({ name }) => name);
  const options = { ...run.config.rest(), levels: levels.length };
  const pyramid = new FusionPyramid(options as unknown as FusionPyramidOptions);
  const checks = await run.load(pyramid);
  const inputs: Record<string, Tensor> = {};
  for (const name of levels) inputs[name] = await run.input(name);
  return { outputs: named(run, await pyramid.forward(inputs)), checks };
}
