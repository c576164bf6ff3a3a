import type { DecodedImage, ImageInput } from '../image/types';
import type { DetectionModel, DetectionThresholds } from '../models/detection-model';
import type { DetectionResult } from '../models/detection-result';
import { loadModel } from '../models/load';
import { loadDetector } from '../models/load-detector';
import type { SegmentationMap } from '../models/segmentation-map';
import type { SegmentationModel, SegmentationOutput } from '../models/segmentation-model';
import type { Outcome } from './batch-queue';
import type { ModelConfig } from './config';

/** What a request may ask of a segmentation model. */
export interface SegmentRequestOptions {
  /** Default: the labels alone. */
  readonly outputs?: readonly SegmentationOutput[];
}

/** What a request may ask of a detector. */
export type DetectRequestOptions = Readonly<DetectionThresholds>;

/** What came of one image. */
export interface Prediction<Result> {
  /** The decoded image where the request keeps it, so that an overlay need not decode it again. */
  readonly image: DecodedImage | undefined;
  readonly result: Result;
}

/** An image of a batch. */
export interface BatchImage {
  readonly image: ImageInput;
  /** Whether the decoded image is of use beside the result; otherwise it goes as soon as the network has it. */
  readonly keepImage: boolean;
}

/** How images of a batch are to be read. */
export interface BatchOptions {
  readonly maxPixels: number;
  readonly signal: AbortSignal;
}

/** What a server does with one kind of model. */
export interface Task<Model, Options, Result> {
  readonly name: ModelConfig['task'];
  load(config: ModelConfig): Promise<Model>;
  /** Computes images that were asked for with the same options: an outcome for each, in order. */
  run(
    model: Model,
    images: readonly BatchImage[],
    options: Options & BatchOptions,
  ): Promise<Outcome<Prediction<Result>>[]>;
  /** Frees what a result holds of native memory. */
  free(result: Result): void;
}

/** Semantic segmentation: `loadModel`. */
export const SEGMENT: Task<SegmentationModel, SegmentRequestOptions, SegmentationMap> = {
  name: 'segment',
  load: ({ checkpoint, ...config }) => loadModel(checkpoint, loadOptions(config)),
  async run(model, images, options) {
    const outcomes: Outcome<Prediction<SegmentationMap>>[] = [];
    try {
      const inputs = images.map(({ image }) => image);
      const all = model.segmentAll(inputs, { ...options, batch: images.length, continueOnError: true });
      for await (const each of all) {
        const image = images[each.index]!.keepImage ? each.image : undefined;
        outcomes.push(
          each.error === undefined
            ? { ok: true, result: { image, result: each.map! } }
            : { ok: false, error: each.error },
        );
      }
    } catch (error) {
      // Nobody gets what was computed before the batch was given up.
      for (const each of outcomes) if (each.ok) each.result.result.dispose();
      throw error;
    }
    return outcomes;
  },
  free: (map) => map.dispose(),
};

/** Object detection, instance and panoptic segmentation: `loadDetector`. */
export const DETECT: Task<DetectionModel, DetectRequestOptions, DetectionResult> = {
  name: 'detect',
  load: ({ checkpoint, ...config }) => loadDetector(checkpoint, loadOptions(config)),
  async run(model, images, options) {
    const outcomes: Outcome<Prediction<DetectionResult>>[] = [];
    const inputs = images.map(({ image }) => image);
    const all = model.detectAll(inputs, { ...options, batch: images.length, continueOnError: true });
    for await (const each of all) {
      const image = images[each.index]!.keepImage ? each.image : undefined;
      outcomes.push(
        each.error === undefined
          ? { ok: true, result: { image, result: each.result! } }
          : { ok: false, error: each.error },
      );
    }
    return outcomes;
  },
  free: () => {},
};

function loadOptions({ architecture, device, dtype, cudaGraph }: Omit<ModelConfig, 'checkpoint'>) {
  return {
    device: device as 'cpu',
    dtype,
    cudaGraph,
    ...(architecture !== undefined && { architecture }),
  };
}
