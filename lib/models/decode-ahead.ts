import { decodeImage } from '../image/decode';
import type { DecodedImage, DecodeOptions, ImageInput } from '../image/types';

/** An image that was decoded, or why it could not be. */
export type Decoded =
  | { readonly ok: true; readonly image: DecodedImage; readonly milliseconds: number }
  | { readonly ok: false; readonly error: unknown };

/** An image on its way: it is decoded while others are computed. */
export interface DecodeJob {
  readonly input: ImageInput;
  readonly started: number;
  readonly result: Promise<Decoded>;
}

/** Decodes images in order and gives them in batches; the next batch is decoded while one is used. */
export async function* decodeAhead(
  images: Iterable<ImageInput> | AsyncIterable<ImageInput>,
  options: DecodeOptions,
  size = 1,
): AsyncGenerator<readonly DecodeJob[], void, undefined> {
  let ready: DecodeJob[] = [];
  let next: DecodeJob[] = [];
  for await (const input of images) {
    const started = performance.now();
    // Caught at once: the result is looked at later, and a rejection meanwhile would count as unhandled.
    const result = decodeImage(input, options).then(
      (image): Decoded => ({ ok: true, image, milliseconds: performance.now() - started }),
      (error: unknown): Decoded => ({ ok: false, error }),
    );
    next.push({ input, started, result });
    if (next.length < size) continue;
    if (ready.length > 0) yield ready;
    [ready, next] = [next, []];
  }
  if (ready.length > 0) yield ready;
  if (next.length > 0) yield next;
}
