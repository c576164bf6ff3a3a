import { checkBoolean, checkInteger, checkOdd, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** Options of {@link kernelNormalizer}. */
export interface KernelNormalizerOptions extends JobOptions {
  /** Side k of the kernels: odd, 1 to 31. */
  kernelSize: number;
  /** Multiply by a Hamming window before the kernel is normalised to sum 1. Default true. */
  hamming?: boolean;
  /** Kernels per pixel. Default 1. */
  groups?: number;
}

function resolve(logits: Tensor, name: string, options: KernelNormalizerOptions) {
  const kernelSize = checkOdd(options.kernelSize, 'kernelSize', 31);
  const groups = checkInteger(options.groups ?? 1, 'groups', 1);
  checkTensor(logits, name, { rank: 4, dtype: FLOATING, channels: groups * kernelSize * kernelSize });
  return { kernelSize, groups };
}

/**
 * Turns logits into reassembly kernels: per pixel and group a softmax over the k * k taps, times the window,
 * divided by the sum.
 *
 * @param logits [N, groups * k * k, H, W]
 * @returns the same shape; each kernel sums to 1
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_RANGE; AbortError ERR_ABORTED
 *
 * Source: FreqFusion.py, kernel_normalizer (TPAMI 2024).
 */
export async function kernelNormalizer<D extends DType>(
  logits: Tensor<D>,
  options: KernelNormalizerOptions,
): Promise<Tensor<D>> {
  const resolved = {
    ...resolve(logits, 'logits', options),
    hamming: checkBoolean(options.hamming ?? true, 'hamming'),
  };
  const { output } = await runOperator<'output'>('kernel_normalizer', { logits }, resolved, options);
  return output as Tensor<D>;
}

/**
 * Gradient of {@link kernelNormalizer} with respect to its logits.
 *
 * @param gradOutput [N, groups * k * k, H, W], the gradient of the kernels
 * @param output [N, groups * k * k, H, W], the kernels that kernelNormalizer returned
 * @throws as kernelNormalizer
 */
export async function kernelNormalizerBackward<D extends DType>(
  gradOutput: Tensor<D>,
  output: Tensor<D>,
  options: Omit<KernelNormalizerOptions, 'hamming'>,
): Promise<Tensor<D>> {
  const resolved = resolve(output, 'output', options);
  checkTensor(gradOutput, 'gradOutput', { rank: 4, like: output, channels: output.shape[1]! });
  const { gradLogits } = await runOperator<'gradLogits'>(
    'kernel_normalizer_backward',
    { gradOutput, output },
    resolved,
    options,
  );
  return gradLogits as Tensor<D>;
}

/**
 * The window of {@link kernelNormalizer}: the outer product of two Hamming windows, computed in double.
 *
 * @param kernelSize side k: odd, 1 to 31
 * @returns float32 [1, 1, k, k]
 * @throws ArgumentError ERR_RANGE
 */
export async function hammingWindow(kernelSize: number): Promise<Tensor<'float32'>> {
  checkOdd(kernelSize, 'kernelSize', 31);
  const { output } = await runOperator<'output'>('hamming_window', {}, { kernelSize });
  return output as Tensor<'float32'>;
}
