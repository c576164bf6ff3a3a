import { checkChoice, checkInteger, checkOdd, checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import type { JobOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { runOperator } from './run';

/** How two feature vectors are compared. */
export const SIMILARITIES = ['cosine', 'dot'] as const;
/** How two feature vectors are compared. */
export type Similarity = (typeof SIMILARITIES)[number];

/** Options of {@link localSimilarity}. */
export interface LocalSimilarityOptions extends JobOptions {
  /** Side k of the window: odd, 3 to 31. Default 3. */
  kernelSize?: number;
  /** Pixels between neighbouring taps: from 1. Default 2. */
  dilation?: number;
  /** 'cosine' (default; every norm is at least 1e-8) or 'dot'. */
  similarity?: Similarity;
}

function resolve(x: Tensor, options: LocalSimilarityOptions) {
  checkTensor(x, 'x', { rank: 4, dtype: FLOATING });
  return {
    kernelSize: checkOdd(options.kernelSize ?? 3, 'kernelSize', 31),
    dilation: checkInteger(options.dilation ?? 2, 'dilation', 1, 0x7fff_ffff),
    similarity: checkChoice(options.similarity ?? 'cosine', 'similarity', SIMILARITIES),
  };
}

/**
 * Similarity of every pixel with the pixels of its dilated window, the centre left out.
 *
 * @param x [N, C, H, W]
 * @returns [N, k * k - 1, H, W], taps in row-major order; taps outside the map give 0
 * @throws ArgumentError ERR_SHAPE, ERR_DTYPE, ERR_RANGE, ERR_OPTION_VALUE; AbortError ERR_ABORTED
 *
 * Source: FreqFusion.py, compute_similarity (TPAMI 2024).
 */
export async function localSimilarity<D extends DType>(
  x: Tensor<D>,
  options: LocalSimilarityOptions = {},
): Promise<Tensor<D>> {
  const { output } = await runOperator<'output'>('local_similarity', { x }, resolve(x, options), options);
  return output as Tensor<D>;
}

/**
 * Gradient of {@link localSimilarity}.
 *
 * @param gradOutput [N, k * k - 1, H, W], the gradient of the output
 * @throws as localSimilarity
 */
export async function localSimilarityBackward<D extends DType>(
  gradOutput: Tensor<D>,
  x: Tensor<D>,
  options: LocalSimilarityOptions = {},
): Promise<Tensor<D>> {
  const resolved = resolve(x, options);
  checkTensor(gradOutput, 'gradOutput', { rank: 4, like: x, channels: resolved.kernelSize ** 2 - 1 });
  const { gradX } = await runOperator<'gradX'>(
    'local_similarity_backward',
    { gradOutput, x },
    resolved,
    options,
  );
  return gradX as Tensor<D>;
}
