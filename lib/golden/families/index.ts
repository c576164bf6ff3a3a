import type { FamilyRunner } from '../run';
import { anchorGeneratorFamily } from './anchor-generator';
import { boxCoderFamily } from './box-coder';
import { carafeFamily } from './carafe';
import { checkpointFamily } from './checkpoint';
import { fasterRcnnFamily, maskRcnnFamily, panopticFpnFamily } from './detectors';
import { freqFusionFamily } from './freqfusion';
import { kernelNormalizerFamily } from './kernel-normalizer';
import { localSimilarityFamily } from './local-similarity';
import { maskPasteFamily } from './mask-paste';
import { mmdetNeckFamily } from './mmdet-neck';
import { mmdetPipelineFamily } from './mmdet-pipeline';
import { nmsFamily } from './nms';
import { offsetSamplerFamily } from './offset-sampler';
import { panopticFusionFamily } from './panoptic-fusion';
import { resNetFamily } from './resnet';
import { roiAlignFamily } from './roi-align';
import { segNeXtFamily } from './segnext';
import { segNeXtPreprocessFamily } from './segnext-preprocess';
import { similarityFamily } from './similarity';

const FAMILIES: readonly FamilyRunner[] = [
  carafeFamily,
  kernelNormalizerFamily,
  localSimilarityFamily,
  offsetSamplerFamily,
  roiAlignFamily,
  nmsFamily,
  boxCoderFamily,
  anchorGeneratorFamily,
  maskPasteFamily,
  freqFusionFamily,
  similarityFamily,
  checkpointFamily,
  segNeXtFamily,
  segNeXtPreprocessFamily,
  resNetFamily,
  mmdetNeckFamily,
  fasterRcnnFamily,
  maskRcnnFamily,
  panopticFpnFamily,
  panopticFusionFamily,
  mmdetPipelineFamily,
];

/** The runner of a family; undefined where the verifier does not know it. */
export function familyRunner(family: string): FamilyRunner | undefined {
  return FAMILIES.find((runner) => runner.family === family);
}

/** Names of the families that the verifier knows. */
export function familyNames(): string[] {
  return FAMILIES.map((runner) => runner.family);
}
