import { basename, parse } from 'node:path';
import { cocoIds } from '../coco/classes';
import { PanopticWriter } from '../coco/panoptic-writer';
import { ResultsWriter } from '../coco/results-writer';
import type { DetectionModel } from '../models/detection-model';
import type { DetectionResult } from '../models/detection-result';

/**
 * Ids of images for COCO's files: the numbers that they are named by, as COCO's own are (000000000139.jpg), where all
 * of them are named by different ones; otherwise their places in the list, from 1.
 */
export function imageIds(files: readonly string[]): ReadonlyMap<string, number> {
  const names = files.map((file) => parse(file).name);
  const numbers = names.map((name) => (/^\d{1,15}$/.test(name) ? Number(name) : undefined));
  const named = numbers.every((id) => id !== undefined) && new Set(numbers).size === files.length;
  return new Map(files.map((file, i) => [file, named ? numbers[i]! : i + 1]));
}

/** One COCO file for the results of many images. */
export interface CocoOutput {
  add(image: string, result: DetectionResult, png: string): Promise<void>;
  /** Completes the file, which is not there before. */
  finish(model: Pick<DetectionModel, 'classes' | 'things'>): Promise<void>;
  /** Leaves nothing behind of a run that did not end; never throws. */
  abandon(): Promise<void>;
}

/** Detections as pycocotools' loadRes reads them; each image's are written at once. */
export class CocoDetections implements CocoOutput {
  readonly #file: string;
  readonly #ids: ReadonlyMap<string, number>;
  #writer: ResultsWriter | undefined;

  constructor(file: string, ids: ReadonlyMap<string, number>) {
    this.#file = file;
    this.#ids = ids;
  }

  async add(image: string, result: DetectionResult): Promise<void> {
    await (await this.#open()).add(result.toCoco(this.#ids.get(image)!));
  }

  async finish(): Promise<void> {
    await (await this.#open()).close();
  }

  async abandon(): Promise<void> {
    await this.#writer?.abandon();
  }

  async #open(): Promise<ResultsWriter> {
    this.#writer ??= await ResultsWriter.open(this.#file);
    return this.#writer;
  }
}

/** COCO's panoptic file, which describes PNGs: images, categories, and the segments of every image. */
export class CocoPanoptic implements CocoOutput {
  readonly #file: string;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #images: { id: number; file_name: string; width: number; height: number }[] = [];
  #writer: PanopticWriter | undefined;

  constructor(file: string, ids: ReadonlyMap<string, number>) {
    this.#file = file;
    this.#ids = ids;
  }

  async add(image: string, { panoptic, width, height }: DetectionResult, png: string): Promise<void> {
    const id = this.#ids.get(image)!;
    const name = basename(png);
    const { segments_info: segments } = panoptic!.toCoco(id, name);
    await (await this.#open()).add(id, name, panoptic!, segments);
    this.#images.push({ id, file_name: basename(image), width, height });
  }

  async finish({ classes, things }: Pick<DetectionModel, 'classes' | 'things'>): Promise<void> {
    const ids = cocoIds(classes);
    const categories = classes.map((name, label) => ({
      id: ids?.[label] ?? label + 1,
      name,
      isthing: label < things ? 1 : 0,
    }));
    await (await this.#open()).close({ images: this.#images, categories });
  }

  async abandon(): Promise<void> {
    await this.#writer?.abandon();
  }

  async #open(): Promise<PanopticWriter> {
    this.#writer ??= await PanopticWriter.open(this.#file);
    return this.#writer;
  }
}
