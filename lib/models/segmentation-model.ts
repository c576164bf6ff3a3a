import { invalidArgument } from '../errors';
import { decodeImage } from '../image/decode';
import type { DecodedImage, DecodeOptions, ImageInput } from '../image/types';
import type { InferenceOptions, PreprocessOptions, SegmentationTensors, SegNeXt } from '../modules/segnext';
import { type Tensor, tensor } from '../tensor';
import { checkInference } from './config';
import { checkPreprocess } from './config-file';
import { type BatchOptions, inferBatches, type ReadyImage } from './image-batches';
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
export interface SegmentAllOptions extends Omit<SegmentOptions, 'onProgress'>, BatchOptions {}

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

/** What is needed of a network: a {@link SegNeXt} is one. */
export type SegmentationNetwork = Pick<SegNeXt, 'segment' | 'dispose' | 'disposed'>;

/** @internal */
export interface SegmentationModelInit<Network extends SegmentationNetwork = SegNeXt>
  extends LoadedModelInit<Network, ModelInfo> {
  readonly nmfBases: Tensor | undefined;
}

/** A network that gives every pixel of an image a class, with all that it needs to be used. Made by `loadModel`. */
export class SegmentationModel<Network extends SegmentationNetwork = SegNeXt> extends LoadedModel<
  Network,
  ModelInfo
> {
  protected readonly what = 'segmentation model';
  readonly #nmfBases: Tensor | undefined;

  /** @internal */
  constructor({ nmfBases, ...init }: SegmentationModelInit<Network>) {
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
    const milliseconds = performance.now() - started;
    options.onProgress?.({ stage: 'decode', milliseconds });
    const [map] = await this.#infer([{ ok: true, image: decoded, milliseconds }], request);
    options.onProgress?.({ stage: 'inference', milliseconds: map!.timing.inference });
    return map!;
  }

  /**
   * Segments many images, `batch` at a time; those of a batch that have the same size go through the network together,
   * and the next are decoded while it works. Results come in order and carry the decoded image, so that an overlay need
   * not decode it again. Throws as {@link segment} does, unless `continueOnError` is set; an image that fails takes none
   * of its batch with it then. Logits and probabilities of images that went together lie in one piece of memory, which
   * goes with the last of their maps.
   */
  async *segmentAll(
    images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
    options: SegmentAllOptions = {},
  ): AsyncGenerator<SegmentedImage, void, undefined> {
    const request = this.#request(options);
    const items = inferBatches(images, options, {
      infer: (ready) => this.#infer(ready, request),
      key: ({ width, height }) => `${width} x ${height}`,
      ended: () => options.signal?.aborted === true || this.disposed,
    });
    for await (const item of items) {
      if ('error' in item) yield item;
      else {
        const { result: map, ...rest } = item;
        yield { ...rest, map };
      }
    }
  }

  override dispose(): void {
    super.dispose();
    this.#nmfBases?.dispose();
  }

  #request(options: Omit<SegmentOptions, 'onProgress'>): Request {
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
    };
  }

  /** Takes images of one size through the network. */
  async #infer(
    images: readonly ReadyImage[],
    { outputs, inference, preprocess, signal }: Request,
  ): Promise<SegmentationMap[]> {
    const begun = performance.now();
    using pixels = pixelsOf(images.map(({ image }) => image));
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
    const each = images.length === 1 ? [result] : separate(result, images.length);
    const read = await readMaps(each);
    const inferred = (performance.now() - begun) / images.length;
    return images.map(({ image: { width, height }, milliseconds: decode }, i) => {
      const { classes, palette } = this;
      const timing = { decode, inference: inferred, total: decode + inferred };
      const { logits, probabilities } = each[i]!;
      return new SegmentationMap({
        width,
        height,
        classes,
        palette,
        timing,
        logits,
        probabilities,
        ...read[i]!,
      });
    });
  }
}

interface Request {
  readonly outputs: ReadonlySet<SegmentationOutput>;
  readonly inference: InferenceOptions;
  readonly preprocess: PreprocessOptions;
  readonly signal: AbortSignal | undefined;
}

/** The pixels of one image [H, W, 3], or of several of one size [N, H, W, 3]. */
function pixelsOf(images: readonly DecodedImage[]): Tensor<'uint8'> {
  const { width, height, data } = images[0]!;
  if (images.length === 1) return tensor(data, [height, width, 3], { dtype: 'uint8', share: true });
  const all = new Uint8Array(images.length * data.length);
  for (const [i, image] of images.entries()) all.set(image.data, i * data.length);
  return tensor(all, [images.length, height, width, 3], { dtype: 'uint8', share: true });
}

/** The results of every image of a batch, as views of the batch's. */
function separate(batch: SegmentationTensors, count: number): SegmentationTensors[] {
  const each = Array.from({ length: count }, (): Record<string, Tensor> => ({}));
  for (const [name, all] of Object.entries(batch)) {
    for (const [i, one] of each.entries()) {
      using part = all.slice(0, i, i + 1);
      one[name] = part.reshape(all.shape.slice(1));
    }
    all.dispose();
  }
  return each;
}

/** Copies labels and scores out of native memory, and frees them there. */
async function readMaps(
  maps: readonly SegmentationTensors[],
): Promise<{ labels: Uint8Array | Int32Array; scores: Float32Array | undefined }[]> {
  try {
    return await Promise.all(
      maps.map(async ({ labels, scores }) => {
        const [labelData, scoreData] = await Promise.all([labels!.data(), scores?.data()]);
        return { labels: labelData, scores: scoreData };
      }),
    );
  } catch (error) {
    for (const { logits, probabilities } of maps) for (const each of [logits, probabilities]) each?.dispose();
    throw error;
  } finally {
    for (const { labels, scores } of maps) for (const each of [labels, scores]) each?.dispose();
  }
}
