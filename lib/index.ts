export {
  checkDevice,
  type Device,
  emptyCache,
  getThreads,
  type MemoryStats,
  memoryStats,
  type RuntimeInfo,
  runtimeInfo,
  setSeed,
  setThreads,
} from './device';
export { type DataOf, DTYPE_BYTES, DTYPES, type DType } from './dtype';
export {
  AbortError,
  ArgumentError,
  CheckpointError,
  type ErrorCode,
  type ErrorDetails,
  FreqFusionError,
  ImageError,
  LoadError,
  StateDictError,
} from './errors';
export type { JobOptions } from './jobs';
export { BORDERS, type Border, type CarafeOptions, carafe, carafeBackward } from './ops/carafe';
export {
  hammingWindow,
  type KernelNormalizerOptions,
  kernelNormalizer,
  kernelNormalizerBackward,
} from './ops/kernel-normalizer';
export {
  type LocalSimilarityOptions,
  localSimilarity,
  localSimilarityBackward,
  SIMILARITIES,
  type Similarity,
} from './ops/local-similarity';
export { type OffsetSamplerOptions, offsetSampler, offsetSamplerBackward } from './ops/offset-sampler';
export { type NativeResource, scope } from './scope';
export { cat, full, Tensor, type TensorOptions, type TensorSource, tensor, zeros } from './tensor';
