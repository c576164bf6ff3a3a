import { join } from 'node:path';
import {
  type PanopticAnnotation,
  type PanopticFile,
  readPanoptic,
  readPanopticResults,
} from '../coco/panoptic';
import { readPanopticPng } from '../coco/panoptic-png';
import { panopticFolder } from '../coco/panoptic-writer';
import { CocoError } from '../errors';
import { throwIfAborted } from '../image/source';
import { type PanopticImage, PanopticQuality, type PanopticReport } from './panoptic-quality';

/** A panoptic file and the folder of its PNGs. */
export interface PanopticSource {
  readonly file: string;
  /** Default: the file's path without its extension, as COCO has it. */
  readonly folder?: string | undefined;
}

/** Options of {@link evaluatePanopticFiles}. */
export interface PanopticFilesOptions {
  /** Judge the first images of the annotation file alone. */
  limit?: number | undefined;
  onProgress?: (progress: { done: number; total: number }) => void;
  signal?: AbortSignal;
}

/** The folder of a panoptic file's PNGs. */
export function pngFolder({ file, folder }: PanopticSource): string {
  return folder ?? panopticFolder(file);
}

/** Reads an image's segments with their pixels. */
export async function readPanopticImage(
  { fileName, segments }: PanopticAnnotation,
  folder: string,
  signal?: AbortSignal,
): Promise<PanopticImage> {
  return { ...(await readPanopticPng(join(folder, fileName), signal)), segments };
}

/** Pairs of PNGs that are read at one time. */
const AHEAD = 4;

/**
 * Scores panoptic predictions in COCO's form. Throws what {@link readPanoptic} and {@link PanopticQuality.add} throw,
 * and ERR_PANOPTIC_SEGMENT where an image of the truth has no prediction.
 */
export async function evaluatePanopticFiles(
  truth: PanopticSource,
  results: PanopticSource,
  { limit, onProgress, signal }: PanopticFilesOptions = {},
): Promise<PanopticReport> {
  const annotations = await readPanoptic(truth.file, signal);
  const predictions = await readPanopticResults(results.file, annotations, signal);
  const pairs = pairUp(annotations, predictions, limit);
  const folders = [pngFolder(truth), pngFolder(results)] as const;
  const quality = new PanopticQuality(annotations.categories.values());
  const read = ([one, other]: Pair) =>
    Promise.all([readPanopticImage(one, folders[0], signal), readPanopticImage(other, folders[1], signal)]);
  for (let first = 0; first < pairs.length; first += AHEAD) {
    throwIfAborted(signal);
    const some = pairs.slice(first, first + AHEAD);
    for (const [i, [trueImage, predicted]] of (await Promise.all(some.map(read))).entries()) {
      quality.add(trueImage, predicted, some[i]![0].fileName);
      onProgress?.({ done: first + i + 1, total: pairs.length });
    }
  }
  return quality.report();
}

type Pair = readonly [PanopticAnnotation, PanopticAnnotation];

function pairUp(truth: PanopticFile, predictions: PanopticFile, limit: number | undefined): Pair[] {
  const judged = [...truth.annotations.values()].slice(0, limit);
  return judged.map((annotation) => {
    const { imageId } = annotation;
    const prediction = predictions.annotations.get(imageId);
    if (prediction !== undefined) return [annotation, prediction];
    const expected = `a prediction for image ${imageId}`;
    throw new CocoError('ERR_PANOPTIC_SEGMENT', `expected ${expected} in ${predictions.file}, got none`, {
      expected,
      actual: 'none',
    });
  });
}
