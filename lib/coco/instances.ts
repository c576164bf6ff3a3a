import { CocoError, describe, FreqFusionError } from '../errors';
import {
  addUnique,
  boxField,
  checkReference,
  type Entry,
  entry,
  fieldError,
  flagField,
  numberField,
  textField,
  wholeField,
} from './fields';
import { readJsonValues } from './json-file';
import { rleFromPolygons } from './polygon';
import { fromCocoRle } from './rle-string';
import type { CocoBox, Rle } from './run-lengths';

/** An image that an annotation file lists. */
export interface CocoImage {
  readonly id: number;
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
}

/** A category of an annotation file. */
export interface CocoCategory {
  readonly id: number;
  readonly name: string;
}

/** A true object. */
export interface InstanceAnnotation {
  readonly id: number;
  readonly imageId: number;
  readonly categoryId: number;
  /** Its box; undefined where the file has none and masks were asked for. */
  readonly box: CocoBox | undefined;
  /** Its area in pixels as the file states it, which decides whether it is small, medium or large. */
  readonly area: number;
  /** Whether it is a region of many objects: it can be found any number of times, and need not be found. */
  readonly crowd: boolean;
}

/** What {@link readInstances} takes beside boxes. */
export interface ReadInstancesOptions {
  /** Keep the objects' outlines, for {@link InstanceAnnotations.mask}. Default false. */
  masks?: boolean;
  signal?: AbortSignal;
}

/** The images, categories and objects of an instances file. */
export class InstanceAnnotations {
  readonly images = new Map<number, CocoImage>();
  readonly categories = new Map<number, CocoCategory>();
  readonly #byImage = new Map<number, InstanceAnnotation[]>();
  readonly #sources = new Map<InstanceAnnotation, Entry>();
  readonly #seen = new Map<number, true>();

  /** @param file where the annotations come from, for errors. */
  constructor(
    readonly file: string,
    readonly masks = false,
  ) {}

  /** The objects of an image, in the order of the file. */
  of(imageId: number): readonly InstanceAnnotation[] {
    return this.#byImage.get(imageId) ?? [];
  }

  /** Number of objects. */
  get count(): number {
    return this.#seen.size;
  }

  /** The mask of an object. Throws ERR_COCO_FORMAT where its segmentation is malformed. */
  mask(annotation: InstanceAnnotation): Rle {
    const from = this.#sources.get(annotation);
    const { height, width } = this.images.get(annotation.imageId)!;
    if (from === undefined) throw new Error('the annotations were read without masks');
    const { segmentation } = from.value;
    if (typeof segmentation !== 'object' || segmentation === null) {
      throw fieldError(from, 'segmentation', 'polygons or run lengths', segmentation);
    }
    return segmentationMask(from, height, width);
  }

  /** Adds one value of the file. @internal */
  add(value: unknown, list: string, index: number): void {
    const from = entry(value, this.file, list, index);
    if (list === 'images') this.#addImage(from);
    else if (list === 'categories') this.#addCategory(from);
    else if (list === 'annotations') this.#addAnnotation(from);
  }

  #addImage(from: Entry): void {
    const id = wholeField(from, 'id');
    const image = {
      id,
      fileName: textField(from, 'file_name'),
      width: wholeField(from, 'width', 1),
      height: wholeField(from, 'height', 1),
    };
    addUnique(this.images, id, image, from);
  }

  #addCategory(from: Entry): void {
    const id = wholeField(from, 'id');
    addUnique(this.categories, id, { id, name: textField(from, 'name') }, from);
  }

  #addAnnotation(from: Entry): void {
    const id = wholeField(from, 'id');
    const annotation: InstanceAnnotation = {
      id,
      imageId: wholeField(from, 'image_id'),
      categoryId: wholeField(from, 'category_id'),
      box: this.masks && from.value.bbox === undefined ? undefined : boxField(from, 'bbox'),
      area: numberField(from, 'area'),
      crowd: flagField(from, 'iscrowd'),
    };
    addUnique(this.#seen, id, true, from);
    const { image_id, category_id, segmentation } = from.value;
    const kept = this.masks ? { image_id, category_id, segmentation } : { image_id, category_id };
    this.#sources.set(annotation, { ...from, value: kept });
    const others = this.#byImage.get(annotation.imageId);
    if (others === undefined) this.#byImage.set(annotation.imageId, [annotation]);
    else others.push(annotation);
  }

  /** Checks, once all is read, that every object's image and category are there. @internal */
  checkReferences(): void {
    for (const [{ imageId, categoryId }, from] of this.#sources) {
      checkReference(this.images, imageId, from, 'image_id');
      checkReference(this.categories, categoryId, from, 'category_id');
    }
    if (!this.masks) this.#sources.clear();
  }
}

/**
 * Reads an instances file (`instances_val2017.json`): images, categories, annotations. Throws ERR_COCO_READ for a
 * file that is no JSON, ERR_COCO_FORMAT for a member that is wrong or missing, ERR_COCO_REFERENCE for an annotation
 * of an image or category that is not there; each names its place.
 */
export async function readInstances(
  file: string,
  { masks = false, signal }: ReadInstancesOptions = {},
): Promise<InstanceAnnotations> {
  const annotations = new InstanceAnnotations(file, masks);
  const lists = await readJsonValues(
    file,
    (value, key, index) => {
      if (index !== undefined) annotations.add(value, key, index);
      else if (key === 'annotations') throw listError(file, key, value);
    },
    signal,
  );
  requireLists(file, { images: annotations.images.size, categories: annotations.categories.size });
  // Empty it may be, of images without objects; without it the file is of another kind.
  if (!lists.has('annotations')) throw listError(file, 'annotations', undefined);
  annotations.checkReferences();
  return annotations;
}

function listError(file: string, name: string, value: unknown): CocoError {
  const [expected, actual] = [`a list ${name}`, describe(value)];
  return new CocoError('ERR_COCO_FORMAT', `expected ${expected} in ${file}, got ${actual}`, {
    expected,
    actual,
  });
}

/** Throws ERR_COCO_FORMAT where a list of an annotation file is missing or empty. */
export function requireLists(file: string, sizes: Readonly<Record<string, number>>): void {
  for (const [list, size] of Object.entries(sizes)) {
    if (size > 0) continue;
    throw fieldError(
      { value: {}, file, list, index: 0 },
      '',
      `a list ${list} with at least one element`,
      undefined,
    );
  }
}

/** The mask of an entry's `segmentation`: polygons, or run lengths as a list or compressed. */
export function segmentationMask(from: Entry, height: number, width: number): Rle {
  const segmentation = from.value.segmentation as Parameters<typeof fromCocoRle>[0] | number[][];
  try {
    if (Array.isArray(segmentation)) return rleFromPolygons(segmentation, height, width);
    const rle = fromCocoRle(segmentation);
    if (rle.size[0] === height && rle.size[1] === width) return rle;
  } catch (error) {
    if (!(error instanceof FreqFusionError)) throw error;
    throw fieldError(from, 'segmentation', `a mask (${error.message})`, segmentation, { cause: error });
  }
  throw fieldError(from, 'segmentation', `a mask of ${height} x ${width} pixels`, segmentation.size);
}
