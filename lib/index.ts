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
export { PanopticWriter } from './coco/panoptic-writer';
export { type CocoResult, type CocoTask, readResults } from './coco/results';
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
  type DeviceMemoryStats,
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
  OutOfMemoryError,
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
export type {
  DataSetRunOptions,
  Detector,
  FoundObjects,
  FoundSegments,
} from './evaluation/detector';
export { type EvaluateDetectorOptions, evaluateDetector } from './evaluation/detector-run';
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
export {
  type EvaluatePanopticOptions,
  evaluatePanopticModel,
  type FoundPanoptic,
} from './evaluation/panoptic-run';
export { type CaseResult, type CaseStatus, type VerifyOptions, verifyCase } from './golden/verify';
export { decodeImage } from './image/decode';
export type { DetectionOverlayOptions } from './image/detection-overlay';
export { encodeLabelPng, type LabelMap, type ReadLabelsOptions, readLabelMap } from './image/labels';
export type { LegendPlace } from './image/legend';
export type { OverlayOptions } from './image/overlay';
export { makePalette } from './image/palette';
export {
  type PreprocessedImage,
  type PreprocessedSizes,
  preprocess,
  preprocessSizes,
} from './image/preprocess';
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
export type { CudaGraphOption, GraphOptions, JobOptions } from './jobs';
export { ADE20K_CLASSES } from './models/ade20k';
export { ARCHITECTURES, resolveArchitecture } from './models/architectures';
export type { ModelConfig, NetworkConfig } from './models/config';
export type { BaseConfig, ConfigFile, LocatedConfig } from './models/config-file';
export { DetectionMask } from './models/detection-mask';
export {
  type DetectAllOptions,
  type DetectedImage,
  DetectionModel,
  type DetectionProgress,
  type DetectionThresholds,
  type DetectOptions,
  type DetectorInfo,
  type DetectorNetwork,
} from './models/detection-model';
export {
  type Detection,
  type DetectionBox,
  type DetectionJson,
  type DetectionOverlay,
  DetectionResult,
  type DetectionResultJson,
  type DetectionTiming,
} from './models/detection-result';
export { DETECTOR_ARCHITECTURES, resolveDetectorArchitecture } from './models/detector-architectures';
export type { DetectionTask, DetectorConfig, DetectorKind } from './models/detector-config';
export { bundledPage, type LoadModelOptions, loadModel } from './models/load';
export { type LoadDetectorOptions, loadDetector } from './models/load-detector';
export { LoadedModel } from './models/loaded-model';
export type { LoadedInfo, LoadOptions } from './models/loading';
export { type CocoPanopticResult, PanopticMap, type PanopticMapSegment } from './models/panoptic-map';
export {
  type ClassArea,
  type CocoStuffResult,
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
  type Proposals,
  type PyramidMaps,
  RoiHead,
  type RoiHeadInputs,
  type RoiHeadOutputs,
  type RoiHeadRunOptions,
  RpnHead,
  type RpnRunOptions,
  SemanticFpnHead,
  type SemanticRunOptions,
} from './modules/detector-heads';
export type {
  AnchorGeneratorOptions,
  BBoxHeadOptions,
  BoxCoderOptions,
  DetectorBackboneOptions,
  DetectorNeckOptions,
  DetectorOptions,
  DetectorTestOptions,
  MaskHeadOptions,
  PanopticTestOptions,
  RcnnTestOptions,
  RoiExtractorOptions,
  RoiHeadOptions,
  RpnHeadOptions,
  RpnTestOptions,
  SemanticHeadOptions,
} from './modules/detector-options';
export {
  type CarafeFpnOptions,
  type CarafeUpsampleConfig,
  Fpn,
  type FpnInputs,
  type FpnOptions,
  type FpnOutputs,
  type FreqFusionFpnOptions,
  type PlainFpnOptions,
  type UpsampleConfig,
} from './modules/fpn';
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
export type { ImageMeta } from './modules/image-meta';
export { LightHamHead, type LightHamHeadInputs, type LightHamHeadOptions } from './modules/light-ham-head';
export type { LoadReport, MismatchedKey } from './modules/load-report';
export { type LoadStateOptions, Module, type RunOptions, type Staged } from './modules/module';
export { Mscan, type MscanOptions, type MscanOutputs } from './modules/mscan';
export { OffsetGenerator, type OffsetGeneratorOptions } from './modules/offset-generator';
export { ResNet, type ResNetOptions, type ResNetOutputs } from './modules/resnet';
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
export {
  COCO_PREPROCESS,
  type DetectorDetectOptions,
  type DetectorInputs,
  type DetectorOutput,
  type DetectorRunOptions,
  FasterRcnn,
  MaskRcnn,
  PanopticFpn,
  TwoStageDetector,
} from './modules/two-stage-detector';
export {
  type BaseAnchorOptions,
  baseAnchors,
  type GridAnchorOptions,
  gridAnchors,
  octaveScales,
} from './ops/anchors';
export { type BoxDecoderOptions, type BoxEncoderOptions, bbox2delta, delta2bbox } from './ops/box-coder';
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
export {
  type Canvas,
  type MaskPasteOptions,
  type MaskRuns,
  type MaskRunsOptions,
  maskPaste,
  maskRuns,
  type PasteWindow,
  pasteWindow,
} from './ops/mask-paste';
export {
  type BatchedNmsOptions,
  batchedNms,
  type MulticlassDetections,
  type MulticlassNmsOptions,
  multiclassNms,
  type NmsOptions,
  nms,
} from './ops/nms';
export { type OffsetSamplerOptions, offsetSampler, offsetSamplerBackward } from './ops/offset-sampler';
export {
  type PanopticFusion,
  type PanopticFusionInputs,
  type PanopticFusionOptions,
  panopticFusion,
} from './ops/panoptic-fusion';
export {
  type BoxType,
  type RoiAlignOptions,
  type RoiExtractOptions,
  roiAlign,
  roiAlignBackward,
  roiExtract,
  roiLevels,
} from './ops/roi-align';
export { type NativeResource, scope } from './scope';
export { cat, full, Tensor, type TensorOptions, type TensorSource, tensor, zeros } from './tensor';
