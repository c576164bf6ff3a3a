import { join } from 'node:path';
import type { CocoRle } from '../coco/rle-string';
import type { CocoBox } from '../coco/run-lengths';
import { CocoError } from '../errors';

/** What a detector found in an image: a `DetectionResult` is one. */
export interface FoundObjects {
  readonly width: number;
  readonly height: number;
  readonly detections: readonly {
    readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
    readonly score: number;
    readonly label: number;
    readonly mask?: { toCoco(): CocoRle };
  }[];
  readonly panoptic?: FoundSegments | undefined;
}

/** A panoptic map: a `PanopticMap` is one. */
export interface FoundSegments {
  readonly width: number;
  readonly height: number;
  readonly ids: Int32Array;
  readonly segments: readonly {
    readonly id: number;
    readonly label: number;
    readonly isThing: boolean;
    readonly area: number;
    readonly box: CocoBox;
  }[];
}

/** What is needed of a detector: a `DetectionModel` is one. */
export interface Detector {
  readonly classes: readonly string[];
  detectAll(
    images: Iterable<string>,
    options: { signal?: AbortSignal; batch?: number },
  ): AsyncIterable<{ readonly index: number; readonly result?: FoundObjects | undefined }>;
}

/** Options of every run of a detector over a data set. */
export interface DataSetRunOptions {
  /** Images that go through the network together. Default 1. */
  batch?: number;
  onProgress?: (progress: { done: number; total: number; image: string }) => void;
  signal?: AbortSignal;
}

/**
 * Runs a detector over images of an annotation file, in their order. Throws ERR_IMAGE_SIZE where a file's size is not
 * the one that the annotations state, and what detecting throws.
 */
export async function* detectImages<Image extends { readonly fileName: string }>(
  model: Detector,
  images: readonly Image[],
  folder: string,
  { batch = 1, signal, onProgress }: DataSetRunOptions,
): AsyncGenerator<{ image: Image; found: FoundObjects }> {
  const files = images.map(({ fileName }) => join(folder, fileName));
  for await (const { index, result } of model.detectAll(files, { batch, ...(signal && { signal }) })) {
    yield { image: images[index]!, found: result! };
    onProgress?.({ done: index + 1, total: images.length, image: files[index]! });
  }
}

/** Throws ERR_IMAGE_SIZE where an image has another size than its annotations. */
export function checkSize(
  { width, height }: { readonly width: number; readonly height: number },
  found: { readonly width: number; readonly height: number },
  name: string,
): void {
  if (width === found.width && height === found.height) return;
  const [expected, actual] = [`${width} x ${height} pixels`, `${found.width} x ${found.height}`];
  const message = `expected ${expected}, as its annotations say, for ${name}, got ${actual}`;
  throw new CocoError('ERR_IMAGE_SIZE', message, { expected, actual });
}

/**
 * The categories of a model's classes, found by their names; undefined for a class that the annotations do not have.
 * Throws ERR_COCO_REFERENCE where they have none of them.
 */
export function categoriesOf(
  classes: readonly string[],
  categories: Iterable<{ readonly id: number; readonly name: string }>,
  file: string,
): (number | undefined)[] {
  const byName = new Map([...categories].map(({ id, name }) => [name.trim(), id]));
  const ids = classes.map((name) => byName.get(name.trim()));
  if (ids.some((id) => id !== undefined)) return ids;
  const expected = `a category ${[...byName.keys()].slice(0, 4).join(', ')}${byName.size > 4 ? ', ...' : ''}`;
  const actual = `${classes.slice(0, 4).join(', ')}${classes.length > 4 ? ', ...' : ''}`;
  throw new CocoError(
    'ERR_COCO_REFERENCE',
    `expected ${expected} of ${file} among the classes of the model, got ${actual}`,
    { expected, actual },
  );
}
