import { setMaxListeners } from 'node:events';
import { invalidArgument } from '../../errors';
import type { SegmentationOutput } from '../../models/segmentation-model';
import { nearestName } from '../../modules/nearest-name';
import type { Ticket } from '../batch-queue';
import { ServerError } from '../errors';
import type { AnyServedModel } from '../model-repository';
import type { Segmenter, ServedDetector } from '../served-model';
import type { SegmentRequestOptions } from '../tasks';
import { OutputBudget } from './budget';
import type { InferTensor } from './datatypes';
import { detectTensors } from './detect-outputs';
import { type RequestImage, type RequestImages, readImages } from './images';
import { outputsOf } from './model-tensors';
import { checkParameterNames, thresholdsOf } from './parameters';
import type { InferRequest } from './request';
import { bytesOfMap, readMap, segmentTensors } from './segment-outputs';

/** What an inference needs beside the request. */
export interface InferInit {
  readonly ticket: Ticket;
  /** Pixels that an image may have. */
  readonly maxPixels: number;
}

/**
 * Computes a request of the Open Inference Protocol. Each image goes through the model's queue by itself, a window of
 * them at a time, so that a large request does not keep others waiting; one that fails takes the request with it.
 * Rejects with ERR_REQUEST_TENSOR, ERR_REQUEST_SHAPE, ERR_REQUEST_VALUE, ERR_REQUEST_PARAMETER, ERR_REQUEST_SIZES,
 * ERR_REQUEST_OUTPUT, ERR_IMAGE_TOO_LARGE, and what {@link ServedModel.predict} rejects with.
 */
export async function infer(
  served: AnyServedModel,
  request: InferRequest,
  init: InferInit,
): Promise<InferTensor[]> {
  const { task } = served.config;
  checkParameterNames(request.parameters, task);
  const wanted = wantedOutputs(served, request.outputs);
  const images = readImages(request.inputs, init.maxPixels);
  return task === 'segment'
    ? inferSegments(served as Segmenter, images, wanted as SegmentationOutput[], init.ticket)
    : inferDetections(served as ServedDetector, request, images, wanted, init.ticket);
}

function wantedOutputs(served: AnyServedModel, asked: readonly string[]): readonly string[] {
  const { outputs, byDefault } = outputsOf(served);
  if (asked.length === 0) return byDefault;
  const names = outputs.map(({ name }) => name);
  for (const [i, name] of asked.entries()) {
    if (!names.includes(name)) {
      const near = nearestName(name.slice(0, 64), names);
      const hint = near === undefined ? '' : ` (the nearest is ${near})`;
      throw invalidArgument('ERR_REQUEST_TENSOR', 'an output', `one of ${names.join(', ')}${hint}`, name);
    }
    if (asked.indexOf(name) !== i) {
      throw invalidArgument('ERR_REQUEST_TENSOR', 'outputs', 'each output once', name);
    }
  }
  return asked;
}

async function inferSegments(
  served: Segmenter,
  { images, size }: RequestImages,
  wanted: readonly SegmentationOutput[],
  ticket: Ticket,
): Promise<InferTensor[]> {
  const classes = served.model.classes.length;
  if (size !== undefined) new OutputBudget().take(images.length * bytesOfMap(wanted, size, classes));
  // Always in the same order, and none where the labels are enough: requests that want the same share their batches.
  const beside = (['logits', 'probabilities', 'scores'] as const).filter((name) => wanted.includes(name));
  const options: SegmentRequestOptions = beside.length === 0 ? {} : { outputs: beside };
  const budget = new OutputBudget();
  const parts = await forEachImage(images, served, ticket, async ({ image }, one) => {
    const { result } = await served.predict(image, options, one);
    try {
      return await readMap(result.result, wanted, budget);
    } finally {
      served.free(result.result);
    }
  });
  return segmentTensors(parts, wanted, classes);
}

async function inferDetections(
  served: ServedDetector,
  { parameters }: InferRequest,
  { images }: RequestImages,
  wanted: readonly string[],
  ticket: Ticket,
): Promise<InferTensor[]> {
  const options = thresholdsOf(parameters);
  const results = await forEachImage(images, served, ticket, async ({ image }, one) => {
    const { result } = await served.predict(image, options, one);
    return result.result;
  });
  return detectTensors(results, wanted, new OutputBudget());
}

/** Runs every image, some at a time, each with what is left of the request's time; the first to fail ends the others. */
async function forEachImage<Part>(
  images: readonly RequestImage[],
  { config }: AnyServedModel,
  ticket: Ticket,
  run: (image: RequestImage, ticket: Ticket & { bytes: number }) => Promise<Part>,
): Promise<Part[]> {
  const failed = new AbortController();
  const { signal: given, timeout, priority } = ticket;
  const signal = given === undefined ? failed.signal : AbortSignal.any([given, failed.signal]);
  // One listener an image of the window.
  setMaxListeners(0, signal);
  const started = performance.now();
  const parts = new Array<Part>(images.length);
  let failure: { readonly error: unknown } | undefined;
  let next = 0;
  const work = async () => {
    while (next < images.length && failure === undefined) {
      const at = next;
      next += 1;
      const image = images[at]!;
      const left = timeout === undefined ? undefined : Math.ceil(timeout - (performance.now() - started));
      try {
        if (left !== undefined && left <= 0) throw late(timeout!);
        parts[at] = await run(image, {
          signal,
          bytes: image.bytes,
          ...(priority !== undefined && { priority }),
          ...(left !== undefined && { timeout: left }),
        });
      } catch (error) {
        failure ??= { error };
        failed.abort(error);
      }
    }
  };
  const window = Math.min(images.length, config.queue.length, config.batch.size * (config.instances + 1));
  await Promise.all(Array.from({ length: window }, work));
  if (failure !== undefined) throw failure.error;
  return parts;
}

function late(timeout: number): ServerError {
  return new ServerError('ERR_DEADLINE', `no answer within ${timeout} ms`, {
    expected: `an answer within ${timeout} ms`,
    actual: 'none',
  });
}
