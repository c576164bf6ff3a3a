export {
  type ClassSimilarity,
  type FeatureMap,
  type FeatureSimilarity,
  type FeatureSimilarityOptions,
  featureSimilarity,
  type LabelImage,
  type SimilaritySample,
} from './analysis/feature-similarity';
export { type NpyArray, readFeatureMap, readNpy } from './analysis/npy';
export { similarityPlot } from './analysis/plot';
export { Checkpoint, type CheckpointSaveOptions } from './checkpoint/checkpoint';
export {
  CHECKPOINT_RULES,
  type CheckpointCategory,
  type CheckpointCode,
  categoryOf,
} from './checkpoint/codes';
export type { CheckpointFormat } from './checkpoint/contents';
export type { CheckpointSummary, TensorLine } from './checkpoint/inspect';
export type { MetadataValue } from './checkpoint/metadata';
export { type SaveOptions, saveSafetensors } from './checkpoint/save';
export type { StateDictOptions } from './checkpoint/selection';
export { StateDict, type StateDictEntry } from './checkpoint/state-dict';
export { COCO_PANOPTIC, COCO_STUFF, COCO_THINGS, type CocoClass, cocoIds } from './coco/classes';
export {
  type CocoCategory,
  type CocoImage,
  type InstanceAnnotation,
  InstanceAnnotations,
  type ReadInstancesOptions,
  readInstances,
} from './coco/instances';
export {
  type PanopticAnnotation,
  type PanopticCategory,
  type PanopticFile,
  type PanopticSegment,
  readPanoptic,
  readPanopticResults,
} from './coco/panoptic';
export { encodePanopticPng, readPanopticPng, type SegmentIds } from './coco/panoptic-png';
export {
  type PanopticClass,
  type PanopticSegments,
  panopticSegments,
  type SegmentInfo,
} from './coco/panoptic-segments';
export { type CocoResult, type DetectionTask, readResults } from './coco/results';
export { ResultsWriter } from './coco/results-writer';
export {
  boxIou,
  type CocoBox,
  type CocoRle,
  decodeRle,
  encodeRle,
  fromCocoRle,
  mergeRles,
  type Rle,
  rleArea,
  rleBox,
  rleFromBox,
  rleFromPolygons,
  rleIou,
  toCocoRle,
} from './coco/rle';
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
  CocoError,
  type ErrorCode,
  type ErrorDetails,
  FreqFusionError,
  ImageError,
  LoadError,
  StateDictError,
} from './errors';
export { BoundaryOverlap, trimap } from './evaluation/boundary';
export { ConfusionMatrix, type SegmentationScores } from './evaluation/confusion';
export { DetectionEvaluator, type DetectionEvaluatorOptions } from './evaluation/detection-evaluator';
export { type DetectionFilesOptions, evaluateDetectionFiles } from './evaluation/detection-files';
export type {
  ClassDetectionScores,
  DetectionReport,
  DetectionScores,
} from './evaluation/detection-report';
export {
  type EvaluationOptions,
  type EvaluationPair,
  type EvaluationReport,
  evaluateSegmentation,
  type Segmenter,
} from './evaluation/evaluate';
export { labelResults } from './evaluation/label-results';
export { type FindPairsOptions, findPairs, type LabeledImage } from './evaluation/pairs';
export {
  evaluatePanopticFiles,
  type PanopticFilesOptions,
  type PanopticSource,
} from './evaluation/panoptic-files';
export {
  type ClassPanopticScores,
  type PanopticImage,
  PanopticQuality,
  type PanopticReport,
  type PanopticScores,
} from './evaluation/panoptic-quality';
export { type CaseResult, type CaseStatus, type VerifyOptions, verifyCase } from './golden/verify';
export { decodeImage } from './image/decode';
export { encodeLabelPng, type LabelMap, type ReadLabelsOptions, readLabelMap } from './image/labels';
export type { LegendPlace } from './image/legend';
export type { OverlayOptions } from './image/overlay';
export { makePalette } from './image/palette';
export { type PreprocessedImage, preprocess } from './image/preprocess';
export {
  type DecodedImage,
  type DecodeOptions,
  type ImageFormat,
  type ImageInput,
  MAX_BYTES,
  MAX_PIXELS,
  type RawImage,
  type Rgb,
} from './image/types';
export type { JobOptions } from './jobs';
export { ADE20K_CLASSES } from './models/ade20k';
export { ARCHITECTURES, resolveArchitecture } from './models/architectures';
export type { ConfigFile, ModelConfig, NetworkConfig } from './models/config';
export { bundledPage, type LoadModelOptions, loadModel } from './models/load';
export {
  type ClassArea,
  SegmentationMap,
  type SegmentationTensors,
  type SegmentationTiming,
} from './models/segmentation-map';
export {
  type ModelInfo,
  SEGMENTATION_OUTPUTS,
  type SegmentAllOptions,
  SegmentationModel,
  type SegmentationOutput,
  type SegmentationProgress,
  type SegmentedImage,
  type SegmentOptions,
} from './models/segmentation-model';
export {
  FreqFusion,
  type FreqFusionInputs,
  type FreqFusionOptions,
  type FreqFusionOutputs,
  type FreqFusionSettings,
  type OffsetGeneratorInputs,
  type UpsampleMode,
} from './modules/freqfusion';
export {
  FusionPyramid,
  type FusionPyramidOptions,
  type FusionRecipe,
  type PyramidInputs,
  type PyramidOutputs,
} from './modules/fusion-pyramid';
export { Hamburger, type HamburgerInputs, type HamburgerOptions, type HamKwargs } from './modules/hamburger';
export { LightHamHead, type LightHamHeadInputs, type LightHamHeadOptions } from './modules/light-ham-head';
export type { LoadReport, MismatchedKey } from './modules/load-report';
export { type LoadStateOptions, Module, type RunOptions, type Staged } from './modules/module';
export { Mscan, type MscanOptions, type MscanOutputs } from './modules/mscan';
export { OffsetGenerator, type OffsetGeneratorOptions } from './modules/offset-generator';
export type {
  InferenceOptions,
  PreprocessOptions,
  SegmentationRequest,
} from './modules/segmentation-options';
export {
  type PostprocessOptions,
  SegNeXt,
  type SegNeXtHeadOptions,
  type SegNeXtInputs,
  type SegNeXtOptions,
  type SegNeXtRunOptions,
  type SegNeXtSegmentOptions,
} from './modules/segnext';
export { SEGNEXT_VARIANTS, type SegNeXtVariant } from './modules/segnext-variants';
export { BORDERS, type Border, type CarafeOptions, carafe, carafeBackward } from './ops/carafe';
export { type HighPassOptions, highPass } from './ops/high-pass';
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
