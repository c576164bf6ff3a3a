import { basename, parse } from 'node:path';
import { cocoIds } from '../coco/classes';
import type { CocoResult } from '../coco/results';
import type { DetectionModel } from '../models/detection-model';
import type { DetectionResult } from '../models/detection-result';
import type { CocoPanopticResult } from '../models/panoptic-map';

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

/** The results of many images, in the forms of COCO's files. */
export class CocoCollection {
  /** What pycocotools' loadRes reads. */
  readonly detections: CocoResult[] = [];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #images: { id: number; file_name: string; width: number; height: number }[] = [];
  readonly #panoptic: CocoPanopticResult[] = [];

  constructor(ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
  }

  /** Adds an image's detections. */
  add(image: string, result: DetectionResult): void {
    this.detections.push(...result.toCoco(this.#ids.get(image)!));
  }

  /** Adds an image's panoptic map, whose PNG has been written. */
  addPanoptic(image: string, png: string, { panoptic, width, height }: DetectionResult): void {
    const id = this.#ids.get(image)!;
    this.#images.push({ id, file_name: basename(image), width, height });
    this.#panoptic.push(panoptic!.toCoco(id, basename(png)));
  }

  /** COCO's panoptic file: images, categories, and the segments of every image. */
  panopticFile({ classes, things }: Pick<DetectionModel, 'classes' | 'things'>): {
    images: unknown[];
    annotations: CocoPanopticResult[];
    categories: { id: number; name: string; isthing: 0 | 1 }[];
  } {
    const ids = cocoIds(classes);
    return {
      images: this.#images,
      annotations: this.#panoptic,
      categories: classes.map((name, label) => ({
        id: ids?.[label] ?? label + 1,
        name,
        isthing: label < things ? 1 : 0,
      })),
    };
  }
}
