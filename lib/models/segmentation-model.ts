import { invalidArgument } from '../errors';
import { decodeImage } from '../image/decode';
import type { DecodedImage, DecodeOptions, ImageInput } from '../image/types';
import type { InferenceOptions, PreprocessOptions, SegNeXt } from '../modules/segnext';
import { type Tensor, tensor } from '../tensor';
import { checkInference } from './config';
import { checkPreprocess } from './config-file';
import { decodeAhead } from './decode-ahead';
import { LoadedModel, type LoadedModelInit } from './loaded-model';
import type { LoadedInfo } from './loading';
import { SegmentationMap } from './segmentation-map';

/** What a segmentation can return. */
export const SEGMENTATION_OUTPUTS = ['labels', 'logits', 'probabilities', 'scores'] as const;

/** One of the things that a segmentation can return. */
export type SegmentationOutput = (typeof SEGMENTATION_OUTPUTS)[number];

/** A step of one segmentation that has ended, and how long it took. */
export interface SegmentationProgress {
  readonly stage: 'decode' | 'inference';
  readonly milliseconds: number;
}

/** Options of {@link SegmentationModel.segment}. */
export interface SegmentOptions extends DecodeOptions {
  /** What to return beside the labels, which are always there. Default none. */
  outputs?: readonly SegmentationOutput[];
  /** Whole image, sliding window, several scales, mirrored. Default: the model's own. */
  inference?: InferenceOptions;
  /** Resizing and normalisation. Default: the model's own. */
  preprocess?: PreprocessOptions;
  onProgress?: (progress: SegmentationProgress) => void;
}

/** Options of {@link SegmentationModel.segmentAll}. */
export interface SegmentAllOptions extends Omit<SegmentOptions, 'onProgress'> {
  /** Report an image that fails as a result with `error` and go on. Default false: throw. */
  continueOnError?: boolean;
  onProgress?: (progress: { done: number; total: number | undefined; input: ImageInput }) => void;
}

/** One image of {@link SegmentationModel.segmentAll}: its map, or the error where errors do not end the run. */
export type SegmentedImage =
  | {
      readonly index: number;
      readonly input: ImageInput;
      readonly image: DecodedImage;
      readonly map: SegmentationMap;
      readonly error?: undefined;
    }
  | {
      readonly index: number;
      readonly input: ImageInput;
      readonly error: unknown;
      readonly image?: undefined;
      readonly map?: undefined;
    };

/** What a loaded model is. */
export interface ModelInfo extends LoadedInfo {
  readonly preprocess: PreprocessOptions;
  readonly inference: InferenceOptions;
}

/** @internal */
export interface SegmentationModelInit extends LoadedModelInit<SegNeXt, ModelInfo> {
  readonly nmfBases: Tensor | undefined;
}

/** A network that gives every pixel of an image a class, with all that it needs to be used. Made by `loadModel`. */
export class SegmentationModel extends LoadedModel<SegNeXt, ModelInfo> {
  protected readonly what = 'segmentation model';
  readonly #nmfBases: Tensor | undefined;

  /** @internal */
  constructor({ nmfBases, ...init }: SegmentationModelInit) {
    super(init);
    this.#nmfBases = nmfBases;
  }

  /**
   * Segments one image. Decoding and the network run off the event loop.
   * Throws what {@link decodeImage} throws for the image, ERR_OPTION_VALUE for unknown outputs, ERR_MODEL_CONFIG for
   * wrong `inference` or `preprocess`, ERR_NOT_SUPPORTED for logits of anything but one whole view, ERR_ABORTED, and
   * ERR_DISPOSED.
   */
  async segment(image: ImageInput, options: SegmentOptions = {}): Promise<SegmentationMap> {
    const request = this.#request(options);
    const started = performance.now();
    const decoded = await decodeImage(image, options);
    return this.#infer(decoded, started, request);
  }

  /**
   * Segments many images, one after the other; the next is decoded while the network works. Results come in order and
   * carry the decoded image, so that an overlay need not decode it again. Throws as {@link segment} does, unless
   * `continueOnError` is set.
   */
  async *segmentAll(
    images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
    options: SegmentAllOptions = {},
  ): AsyncGenerator<SegmentedImage, void, undefined> {
    const { continueOnError = false, onProgress, ...rest } = options;
    const request = this.#request(rest);
    const total = Array.isArray(images) ? images.length : undefined;
    let index = 0;
    for await (const jobs of decodeAhead(images, rest)) {
      const { input, started, result } = jobs[0]!;
      let item: SegmentedImage;
      try {
        const decoded = await result;
        if (!decoded.ok) throw decoded.error;
        const map = await this.#infer(decoded.image, started, { ...request, decode: decoded.milliseconds });
        item = { index, input, image: decoded.image, map };
      } catch (error) {
        if (!continueOnError || options.signal?.aborted || this.disposed) throw error;
        item = { index, input, error };
      }
      index += 1;
      onProgress?.({ done: index, total, input });
      yield item;
    }
  }

  override dispose(): void {
    super.dispose();
    this.#nmfBases?.dispose();
  }

  #request(options: SegmentOptions | Omit<SegmentAllOptions, 'onProgress' | 'continueOnError'>): Request {
    this.checkLive();
    const {
      outputs = [],
      inference = this.info.inference,
      preprocess = this.info.preprocess,
      signal,
    } = options;
    if (!Array.isArray(outputs)) throw invalidArgument('ERR_TYPE', 'outputs', 'a list of names', outputs);
    for (const output of outputs as unknown[]) {
      if (!(SEGMENTATION_OUTPUTS as readonly unknown[]).includes(output)) {
        throw invalidArgument(
          'ERR_OPTION_VALUE',
          'outputs',
          `names among ${SEGMENTATION_OUTPUTS.join(', ')}`,
          output,
        );
      }
    }
    return {
      outputs: new Set(outputs),
      inference: checkInference(inference),
      preprocess: checkPreprocess(preprocess),
      signal,
      onProgress: 'onProgress' in options ? options.onProgress : undefined,
    };
  }

  async #infer(image: DecodedImage, started: number, request: Request): Promise<SegmentationMap> {
    const { outputs, inference, preprocess, signal, onProgress } = request;
    const decode = request.decode ?? performance.now() - started;
    onProgress?.({ stage: 'decode', milliseconds: decode });
    const begun = performance.now();
    const { width, height } = image;
    using pixels = tensor(image.data, [height, width, 3], { dtype: 'uint8', share: true });
    const result = await this.network.segment(pixels, {
      preprocess,
      inference,
      outputs: {
        labels: true,
        logits: outputs.has('logits'),
        probabilities: outputs.has('probabilities'),
        scores: outputs.has('scores'),
      },
      nmfBases: this.#nmfBases,
      cudaGraph: this.cudaGraph,
      signal,
    });
    using labels = result.labels as Tensor<'uint8' | 'int32'>;
    using scores = result.scores as Tensor<'float32'> | undefined;
    const [labelData, scoreData] = await Promise.all([labels.data(), scores?.data()]);
    const inferred = performance.now() - begun;
    onProgress?.({ stage: 'inference', milliseconds: inferred });
    return new SegmentationMap({
      width,
      height,
      labels: labelData as Uint8Array | Int32Array,
      classes: this.classes,
      palette: this.palette,
      timing: { decode, inference: inferred, total: decode + inferred },
      logits: result.logits as Tensor<'float32'> | undefined,
      probabilities: result.probabilities as Tensor<'float32'> | undefined,
      scores: scoreData,
    });
  }
}

interface Request {
  readonly outputs: ReadonlySet<SegmentationOutput>;
  readonly inference: InferenceOptions;
  readonly preprocess: PreprocessOptions;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: SegmentOptions['onProgress'] | undefined;
  /** Milliseconds of decoding, where it ran beside another image's inference. */
  readonly decode?: number;
}
