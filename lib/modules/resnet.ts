import { checkTensor, FLOATING } from '../check';
import type { DType } from '../dtype';
import { invalidArgument } from '../errors';
import type { GraphOptions } from '../jobs';
import type { Tensor } from '../tensor';
import { Module } from './module';

/** Options of {@link ResNet}; the defaults are ResNet-50's. */
export interface ResNetOptions {
  /** Layers: 18 and 34 have blocks of two 3x3 convolutions, 50, 101 and 152 bottlenecks. Default 50. */
  depth?: 18 | 34 | 50 | 101 | 152;
  /** Channels of the image. Default 3. */
  inChannels?: number;
  /** Channels of the stem, which every stage doubles; smaller ones make small models. Default 64. */
  baseChannels?: number;
  /** Stages, 1 to 4. Default 4. */
  numStages?: number;
  /** Which stages' maps are given, rising from 0. Default all. */
  outIndices?: readonly number[];
  /**
   * Where a bottleneck's stride is: in its 3x3 convolution ('pytorch', default: torchvision, mmdetection) or in its
   * first 1x1 convolution ('caffe': detectron2's MSRA models).
   */
  style?: 'pytorch' | 'caffe';
  /** Without effect at inference. Default -1. */
  frozenStages?: number;
  /** Without effect: batch norms always run on their stored statistics. Default true. */
  normEval?: boolean;
}

/** Maps c2 (1/4 of the image's sides) to c5 (1/32), each [N, C, H / 2^i, W / 2^i] rounded up, as far as asked for. */
export type ResNetOutputs<D extends DType = DType> = { [level: `c${number}`]: Tensor<D> };

/**
 * ResNet, a backbone of convolutional blocks with shortcuts, with the state dict of torchvision and mmdetection
 * (`conv1`, `bn1`, `layer1.0.conv1`, ...) and without their classifier.
 *
 * Any image size is right: every halving rounds up. Source: "Deep Residual Learning for Image Recognition", CVPR 2016.
 */
export class ResNet extends Module {
  readonly options: Readonly<ResNetOptions>;

  /** @throws ArgumentError ERR_OPTION_UNKNOWN, ERR_OPTION_TYPE, ERR_OPTION_VALUE */
  constructor(options: ResNetOptions = {}) {
    if (typeof options !== 'object' || options === null) {
      throw invalidArgument('ERR_TYPE', 'options', 'an object', options);
    }
    super('resnet', { ...options });
    this.options = Object.freeze({ ...options });
  }

  /**
   * @param inputs.image [N, inChannels, H, W], normalised; any size
   * @throws ArgumentError ERR_TYPE, ERR_SHAPE, ERR_DTYPE, ERR_DEVICE; AbortError ERR_ABORTED
   */
  async forward<D extends DType>(
    inputs: { image: Tensor<D> },
    options: GraphOptions = {},
  ): Promise<ResNetOutputs<D>> {
    if (typeof inputs !== 'object' || inputs === null) {
      throw invalidArgument('ERR_TYPE', 'inputs', 'an object { image }', inputs);
    }
    const channels = this.options.inChannels ?? 3;
    const image = checkTensor(inputs.image, 'image', { rank: 4, dtype: FLOATING, channels });
    return (await this.run('forward', { image }, {}, options)) as never;
  }
}
