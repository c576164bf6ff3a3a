import { invalidArgument } from '../errors';
import { decodeImage } from '../image/decode';
import type { DecodedImage, DecodeOptions, ImageInput } from '../image/types';
import type { DetectorTestOptions } from '../modules/detector-options';
import type { PreprocessOptions } from '../modules/segmentation-options';
import type { DetectorOutput, TwoStageDetector } from '../modules/two-stage-detector';
import { type Tensor, tensor } from '../tensor';
import { checkPreprocess } from './config-file';
import { DetectionMask } from './detection-mask';
import { type Detection, type DetectionBox, DetectionResult } from './detection-result';
import type { DetectionTask } from './detector-config';
import { type BatchOptions, inferBatches, type ReadyImage } from './image-batches';
import { LoadedModel, type LoadedModelInit } from './loaded-model';
import type { LoadedInfo } from './loading';
import { PanopticMap } from './panoptic-map';

/** A step of one detection that has ended, and how long it took. */
export interface DetectionProgress {
  readonly stage: 'decode' | 'inference';
  readonly milliseconds: number;
}

/** What counts as a detection; left out, the model's own test settings hold. */
export interface DetectionThresholds {
  /** Scores are greater than it. mmdetection's default is 0.05, which lets much through; 0.6 of panoptic models. */
  scoreThreshold?: number;
  /** The best of an image that are kept. mmdetection's default is 100. */
  maxDetections?: number;
  /** Of two boxes with a greater overlap (intersection over union), the better stays. mmdetection's default is 0.5. */
  iouThreshold?: number;
  /** Pixels of a mask have at least this probability. mmdetection's default is 0.5. */
  maskThreshold?: number;
}

/** Options of {@link DetectionModel.detect}. */
export interface DetectOptions extends DecodeOptions, DetectionThresholds {
  /** Resizing, normalisation and padding. Default: the model's own. */
  preprocess?: PreprocessOptions;
  onProgress?: (progress: DetectionProgress) => void;
}

/** Options of {@link DetectionModel.detectAll}. */
export interface DetectAllOptions extends Omit<DetectOptions, 'onProgress'>, BatchOptions {}

/** One image of {@link DetectionModel.detectAll}: its result, or the error where errors do not end the run. */
export type DetectedImage =
  | {
      readonly index: number;
      readonly input: ImageInput;
      readonly image: DecodedImage;
      readonly result: DetectionResult;
      readonly error?: undefined;
    }
  | {
      readonly index: number;
      readonly input: ImageInput;
      readonly error: unknown;
      readonly image?: undefined;
      readonly result?: undefined;
    };

/** What a loaded detector is. */
export interface DetectorInfo extends LoadedInfo {
  readonly task: DetectionTask;
  readonly preprocess: PreprocessOptions;
}

/** What is needed of a network: a {@link TwoStageDetector} is one. */
export type DetectorNetwork = Pick<TwoStageDetector, 'detect' | 'dispose' | 'disposed'>;

/** @internal */
export interface DetectionModelInit<Network extends DetectorNetwork = TwoStageDetector>
  extends LoadedModelInit<Network, DetectorInfo> {
  readonly things: number;
}

/** A network that finds objects in images, with all that it needs to be used. Made by `loadDetector`. */
export class DetectionModel<Network extends DetectorNetwork = TwoStageDetector> extends LoadedModel<
  Network,
  DetectorInfo
> {
  /** How many of the classes are things, which come first; the others are stuff, of panoptic models. */
  readonly things: number;
  protected readonly what = 'detector';

  /** @internal */
  constructor({ things, ...init }: DetectionModelInit<Network>) {
    super(init);
    this.things = things;
  }

  /**
   * Finds objects in one image. Decoding and the network run off the event loop.
   * Throws what {@link decodeImage} throws for the image, ERR_RANGE for a threshold, ERR_MODEL_CONFIG for wrong
   * `preprocess`, ERR_ABORTED, and ERR_DISPOSED.
   */
  async detect(image: ImageInput, options: DetectOptions = {}): Promise<DetectionResult> {
    const request = this.#request(options);
    const started = performance.now();
    const decoded = await decodeImage(image, options);
    const milliseconds = performance.now() - started;
    options.onProgress?.({ stage: 'decode', milliseconds });
    const [result] = await this.#infer([{ ok: true, image: decoded, milliseconds }], request);
    options.onProgress?.({ stage: 'inference', milliseconds: result!.timing.inference });
    return result!;
  }

  /**
   * Finds objects in many images, `batch` at a time; the next are decoded while the network works. Results come in
   * order and carry the decoded image, so that an overlay need not decode it again. Throws as {@link detect} does,
   * unless `continueOnError` is set; an image that fails takes none of its batch with it then.
   */
  async *detectAll(
    images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
    options: DetectAllOptions = {},
  ): AsyncGenerator<DetectedImage, void, undefined> {
    const request = this.#request(options);
    yield* inferBatches(images, options, {
      infer: (ready) => this.#infer(ready, request),
      ended: () => options.signal?.aborted === true || this.disposed,
    });
  }

  #request(options: Omit<DetectOptions, 'onProgress'>): Request {
    this.checkLive();
    const { preprocess = this.info.preprocess, signal } = options;
    return {
      preprocess: checkPreprocess(preprocess),
      testCfg: testSettings(options, this.info.task),
      signal,
    };
  }

  async #infer(
    images: readonly ReadyImage[],
    { preprocess, testCfg, signal }: Request,
  ): Promise<DetectionResult[]> {
    const begun = performance.now();
    const pixels: Tensor<'uint8'>[] = [];
    try {
      for (const { image } of images) {
        const { data, width, height } = image;
        pixels.push(tensor(data, [height, width, 3], { dtype: 'uint8', share: true }) as Tensor<'uint8'>);
      }
      const outputs = await this.network.detect(pixels, {
        preprocess,
        testCfg,
        signal,
        cudaGraph: this.cudaGraph,
      });
      const read = await readOutputs(outputs);
      const inference = (performance.now() - begun) / images.length;
      return read.map((each, i) => {
        const { image, milliseconds: decode } = images[i]!;
        const timing = { decode, inference, total: decode + inference };
        return this.#resultOf(each, image, timing);
      });
    } finally {
      for (const each of pixels) each.dispose();
    }
  }

  #resultOf(
    read: ReadOutput,
    { width, height }: DecodedImage,
    timing: DetectionResult['timing'],
  ): DetectionResult {
    const { classes, palette } = this;
    const { boxes, scores, labels, maskRuns, maskStarts, panoptic } = read;
    const detections = Array.from(scores, (score, i): Detection => {
      const label = Number(labels[i]);
      const box = Array.from(boxes.subarray(4 * i, 4 * i + 4)) as unknown as DetectionBox;
      const found = { box, score, label, className: classes[label]! };
      if (maskRuns === undefined || maskStarts === undefined) return found;
      const counts = Uint32Array.from(maskRuns.subarray(Number(maskStarts[i]), Number(maskStarts[i + 1])));
      return { ...found, mask: new DetectionMask({ size: [height, width], counts }) };
    });
    return new DetectionResult({
      width,
      height,
      detections,
      panoptic:
        panoptic && new PanopticMap({ width, height, map: panoptic, classes, palette, things: this.things }),
      classes,
      palette,
      timing,
    });
  }
}

interface Request {
  readonly preprocess: PreprocessOptions;
  readonly testCfg: DetectorTestOptions;
  readonly signal: AbortSignal | undefined;
}

/** The thresholds by the reference's names, for the part of the network that they concern. */
function testSettings(options: DetectionThresholds, task: DetectionTask): DetectorTestOptions {
  const share = (value: number | undefined, name: string) => {
    if (value === undefined || (value >= 0 && value <= 1)) return value;
    throw invalidArgument('ERR_RANGE', name, 'a number from 0 to 1', value);
  };
  const { maxDetections: count } = options;
  if (count !== undefined && !(Number.isInteger(count) && count >= 1)) {
    throw invalidArgument('ERR_RANGE', 'maxDetections', 'an integer from 1', count);
  }
  const settings = {
    scoreThr: share(options.scoreThreshold, 'scoreThreshold'),
    nmsIouThreshold: share(options.iouThreshold, 'iouThreshold'),
    maskThrBinary: share(options.maskThreshold, 'maskThreshold'),
    maxPerImg: count,
  };
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  if (Object.keys(given).length === 0) return {};
  return task === 'panoptic-segmentation' ? { panoptic: given } : { rcnn: given };
}

interface ReadOutput {
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
  readonly labels: BigInt64Array;
  readonly maskRuns?: Int32Array;
  readonly maskStarts?: BigInt64Array;
  readonly panoptic?: Int32Array;
}

const READ = ['boxes', 'scores', 'labels', 'maskRuns', 'maskStarts', 'panoptic'] as const;

/** Copies what results are made of out of native memory, and frees all of it. */
async function readOutputs(outputs: readonly DetectorOutput[]): Promise<ReadOutput[]> {
  try {
    return await Promise.all(
      outputs.map(async (output) => {
        const read = await Promise.all(READ.map(async (name) => [name, await output[name]?.data()] as const));
        return Object.fromEntries(read.filter(([, data]) => data !== undefined)) as unknown as ReadOutput;
      }),
    );
  } finally {
    for (const output of outputs) for (const each of Object.values(output)) each?.dispose();
  }
}
