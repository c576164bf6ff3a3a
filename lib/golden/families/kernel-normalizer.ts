import { hammingWindow, kernelNormalizer, kernelNormalizerBackward } from '../../ops/kernel-normalizer';
import { full } from '../../tensor';
import type { FamilyRunner, RunResult } from '../run';

/** The softmax over kernel taps with its Hamming window, and its gradient. */
export const kernelNormalizerFamily: FamilyRunner = {
  family: 'kernel_normalizer',
  async run(run) {
    const kernelSize = run.config.integer('kernel');
    const groups = run.config.integer('group', 1);
    const hamming = run.config.boolean('hamming_window', true);
    const normalized = await kernelNormalizer(await run.input('mask'), { kernelSize, groups, hamming });
    const outputs: RunResult['outputs'] = { normalized };
    if (run.wants('window')) {
      outputs.window = hamming
        ? (await hammingWindow(kernelSize)).reshape([1, 1, kernelSize, kernelSize])
        : full([1], 1);
    }
    if (run.hasInput('grad_output')) {
      outputs.grad_mask = await kernelNormalizerBackward(await run.input('grad_output'), normalized, {
        kernelSize,
        groups,
      });
    }
    return { outputs };
  },
};
