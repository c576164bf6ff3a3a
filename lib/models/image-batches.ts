import { checkInteger } from '../check';
import type { DecodedImage, DecodeOptions, ImageInput } from '../image/types';
import { type Decoded, decodeAhead } from './decode-ahead';

/** An image that was decoded, and the milliseconds that it took. */
export type ReadyImage = Extract<Decoded, { ok: true }>;

/** How many images go through a network together, and what happens to those that fail. */
export interface BatchOptions {
  /** Images that go through the network together; a result does not depend on it. 1 to 1024, default 1. */
  batch?: number;
  /** Report an image that fails as a result with `error` and go on. Default false: throw. */
  continueOnError?: boolean;
  onProgress?: (progress: { done: number; total: number | undefined; input: ImageInput }) => void;
}

/** @internal What a model does with images. */
export interface BatchWork<Result> {
  /** Gives a result of each image, in order. */
  infer(images: readonly ReadyImage[]): Promise<Result[]>;
  /** Images of one key may go to `infer` together. Default: any may. */
  key?(image: DecodedImage): string;
  /** Whether the run ends at a failure even where failures are reported: it was cancelled, or the model is gone. */
  ended(): boolean;
}

type Outcome<Result> =
  | { readonly image: DecodedImage; readonly result: Result }
  | { readonly error: unknown };

/** @internal One image of a run. */
export type BatchItem<Result> = { readonly index: number; readonly input: ImageInput } & Outcome<Result>;

/**
 * Takes images through a model, `batch` at a time, and gives what came of them in order; the next are decoded
 * meanwhile. An image that fails takes none of its batch with it, as the others are tried again one by one.
 *
 * @internal
 * @throws ArgumentError ERR_RANGE for a wrong `batch`; what decoding and `infer` throw
 */
export async function* inferBatches<Result>(
  images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
  options: BatchOptions & DecodeOptions,
  work: BatchWork<Result>,
): AsyncGenerator<BatchItem<Result>, void, undefined> {
  const { continueOnError = false, onProgress } = options;
  const batch = checkInteger(options.batch ?? 1, 'batch', 1, 1024);
  const total = Array.isArray(images) ? images.length : undefined;
  const fatal = () => !continueOnError || work.ended();
  let index = 0;
  for await (const jobs of decodeAhead(images, options, batch)) {
    const decoded = await Promise.all(jobs.map(({ result }) => result));
    const outcomes = await inferAll(decoded, work, fatal);
    for (const [i, outcome] of outcomes.entries()) {
      const { input } = jobs[i]!;
      const item = { index, input, ...outcome };
      index += 1;
      onProgress?.({ done: index, total, input });
      yield item;
    }
  }
}

async function inferAll<Result>(
  decoded: readonly Decoded[],
  work: BatchWork<Result>,
  fatal: () => boolean,
): Promise<Outcome<Result>[]> {
  const failed = decoded.find((each) => !each.ok);
  if (failed !== undefined && fatal()) throw failed.error;
  const outcomes = decoded.map((each): Outcome<Result> | undefined => (each.ok ? undefined : each));
  for (const places of together(decoded, work)) {
    const ready = places.map((place) => decoded[place] as ReadyImage);
    const found = await inferTogether(ready, work, fatal);
    for (const [i, place] of places.entries()) outcomes[place] = found[i];
  }
  return outcomes.map((each) => ('error' in each! ? { error: each.error } : each!));
}

/** Places of the images that go to the network together. */
function together<Result>(decoded: readonly Decoded[], { key }: BatchWork<Result>): Iterable<number[]> {
  const groups = new Map<string, number[]>();
  for (const [place, each] of decoded.entries()) {
    if (!each.ok) continue;
    const name = key?.(each.image) ?? '';
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [place]);
    else group.push(place);
  }
  return groups.values();
}

async function inferTogether<Result>(
  ready: readonly ReadyImage[],
  work: BatchWork<Result>,
  fatal: () => boolean,
): Promise<Outcome<Result>[]> {
  try {
    const results = await work.infer(ready);
    return results.map((result, i) => ({ image: ready[i]!.image, result }));
  } catch (error) {
    if (fatal()) throw error;
    if (ready.length === 1) return [{ error }];
  }
  const outcomes: Outcome<Result>[] = [];
  for (const each of ready) outcomes.push(...(await inferTogether([each], work, fatal)));
  return outcomes;
}
