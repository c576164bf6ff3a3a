import { localSimilarity, localSimilarityBackward } from '../../ops/local-similarity';
import type { FamilyRunner, RunResult } from '../run';

/** The similarity of each pixel with its neighbours, and its gradient. */
export const localSimilarityFamily: FamilyRunner = {
  family: 'local_sim',
  async run(run) {
    const options = {
      kernelSize: run.config.integer('k', 3),
      dilation: run.config.integer('dilation', 2),
      similarity:
        run.config.choice('sim', ['cos', 'dot'], 'cos') === 'cos' ? ('cosine' as const) : ('dot' as const),
    };
    const x = await run.input('x');
    const outputs: RunResult['outputs'] = { similarity: await localSimilarity(x, options) };
    if (run.hasInput('grad_output')) {
      outputs.grad_x = await localSimilarityBackward(await run.input('grad_output'), x, options);
    }
    return { outputs };
  },
};
