import { DTYPE_BYTES } from '../dtype';
import type { MaskRcnn } from '../modules/two-stage-detector';
import { fusionFlops } from './models';
import { convolutionFlops, type ParameterShape, parameterElements, type Work } from './work';

/** Regions that the heads get: proposals, and detections with masks. */
const [PROPOSALS, DETECTIONS] = [1000, 100];

/**
 * What a Mask R-CNN on a ResNet of bottlenecks with FreqFusion's neck must compute for an image of `height` x `width`
 * pixels: convolutions, matrices and FreqFusion, with 1000 proposals and 100 detections. Norms, activations, anchors,
 * boxes and reading regions are left out, a few percent. Bytes: image and weights.
 */
export function maskRcnnWork(network: MaskRcnn, height: number, width: number): Work {
  const parameters = network.stateInfo();
  const padded = (side: number) => 64 * Math.ceil(side / 64);
  const pixels = padded(height) * padded(width);
  const levels = [2, 3, 4, 5, 6].map((level) => pixels / 4 ** level);
  const all = levels.reduce((sum, each) => sum + each, 0);
  const plain = parameters.filter(({ name }) => !name.startsWith('neck.alignment.'));
  let flops = backboneFlops(parameters, pixels);
  flops += convolutionFlops(plain, (name) => {
    const [part, index] = [name.split('.')[0], Number(/\d+/.exec(name)?.[0] ?? 0)];
    if (part === 'backbone') return 0;
    if (part === 'neck') return levels[index]!;
    if (part === 'rpn_head') return all;
    // Regions of 14 x 14; the transposed convolution computes four pixels from each, which its weight counts.
    const region = DETECTIONS * 14 * 14;
    return name.includes('conv_logits') ? 4 * region : region;
  });
  const matrices = plain.filter(({ name, shape }) => shape.length === 2 && name.startsWith('roi_head.'));
  flops += matrices.reduce((sum, { shape }) => sum + 2 * PROPOSALS * shape[0]! * shape[1]!, 0);
  for (let i = 0; i < 4; i += 1) flops += fusionFlops(parameters, `neck.alignment.${i}.`, levels[i]!);
  return { flops, bytes: 3 * height * width + parameterElements(parameters) * DTYPE_BYTES.float32 };
}

/** Operations of the convolutions of a ResNet of bottlenecks under `backbone.`, for an image of so many pixels. */
export function backboneFlops(parameters: readonly ParameterShape[], pixels: number): number {
  return convolutionFlops(parameters, (name) =>
    name.startsWith('backbone.') ? pixels / backboneStride(name) ** 2 : 0,
  );
}

/** Stride at which a convolution of the backbone gives its result. */
function backboneStride(name: string): number {
  const match = /^backbone\.layer(\d)\.(\d+)\.(\w+)/.exec(name);
  if (match === null) return 2;
  const stride = 2 * 2 ** Number(match[1]);
  // The first convolution of a stage is before its stride.
  const early = match[2] === '0' && match[3] === 'conv1' && match[1] !== '1';
  return early ? stride / 2 : stride;
}
