import {
  addUnique,
  checkReference,
  type Entry,
  entry,
  fieldError,
  flagField,
  insideField,
  textField,
  wholeField,
} from './fields';
import { requireLists } from './instances';
import { readJsonValues } from './json-file';
import { MAX_SEGMENT_ID } from './panoptic-png';

/** A category of a panoptic file. */
export interface PanopticCategory {
  readonly id: number;
  readonly name: string;
  readonly isThing: boolean;
}

/** A segment that a panoptic file describes. */
export interface PanopticSegment {
  readonly id: number;
  readonly categoryId: number;
  /** Its area in pixels as the file states it; undefined where it does not. */
  readonly area: number | undefined;
  readonly crowd: boolean;
}

/** An image's segments, and the PNG that has their pixels. */
export interface PanopticAnnotation {
  readonly imageId: number;
  readonly fileName: string;
  readonly segments: readonly PanopticSegment[];
}

/** What a panoptic file holds, true or predicted. */
export interface PanopticFile {
  readonly file: string;
  readonly categories: ReadonlyMap<number, PanopticCategory>;
  /** The annotations in the order of the file, by image. */
  readonly annotations: ReadonlyMap<number, PanopticAnnotation>;
  /** File names of the images themselves, by id; empty where the file lists none. */
  readonly imageNames: ReadonlyMap<number, string>;
}

/**
 * Reads a panoptic file (`panoptic_val2017.json`). Throws ERR_COCO_READ, ERR_COCO_FORMAT and ERR_COCO_REFERENCE, each
 * naming the place.
 */
export async function readPanoptic(file: string, signal?: AbortSignal): Promise<PanopticFile> {
  const read = await readLists(file, signal);
  requireLists(file, { categories: read.categories.size });
  checkCategories(read, read.categories);
  return read;
}

/**
 * Reads predictions in the same form. Their categories and images are those of `truth`; what the file itself says of
 * them is not looked at. Throws also ERR_COCO_REFERENCE for an image that the truth does not have.
 */
export async function readPanopticResults(
  file: string,
  truth: PanopticFile,
  signal?: AbortSignal,
): Promise<PanopticFile> {
  const read = await readLists(file, signal);
  checkCategories(read, truth.categories);
  for (const [imageId, from] of read.places) {
    checkReference(truth.annotations, imageId, from, 'image_id');
  }
  return { ...read, categories: truth.categories };
}

interface Lists extends PanopticFile {
  readonly places: ReadonlyMap<number, Entry>;
}

async function readLists(file: string, signal: AbortSignal | undefined): Promise<Lists> {
  const categories = new Map<number, PanopticCategory>();
  const annotations = new Map<number, PanopticAnnotation>();
  const imageNames = new Map<number, string>();
  const places = new Map<number, Entry>();
  await readJsonValues(
    file,
    (value, key, index) => {
      if (index === undefined) return;
      const from = entry(value, file, key, index);
      if (key === 'images') {
        imageNames.set(wholeField(from, 'id'), textField(from, 'file_name'));
      } else if (key === 'categories') {
        const id = wholeField(from, 'id');
        addUnique(
          categories,
          id,
          { id, name: textField(from, 'name'), isThing: flagField(from, 'isthing') },
          from,
        );
      } else if (key === 'annotations') {
        const annotation = annotationOf(from);
        addUnique(annotations, annotation.imageId, annotation, from, 'image_id');
        places.set(annotation.imageId, { ...from, value: { image_id: annotation.imageId } });
      }
    },
    signal,
  );
  requireLists(file, { annotations: annotations.size });
  return { file, categories, annotations, imageNames, places };
}

function annotationOf(from: Entry): PanopticAnnotation {
  const { segments_info: list } = from.value;
  if (!Array.isArray(list)) throw fieldError(from, 'segments_info', 'a list of segments', list);
  const segments = new Map<number, PanopticSegment>();
  list.forEach((value: unknown, index) => {
    const segment = entry(value, from.file, `${from.list}[${from.index}].segments_info`, index);
    const id = wholeField(segment, 'id', 1);
    if (id > MAX_SEGMENT_ID) throw fieldError(segment, 'id', `an id up to ${MAX_SEGMENT_ID}`, id);
    const area = segment.value.area === undefined ? undefined : wholeField(segment, 'area', 0);
    const categoryId = wholeField(segment, 'category_id');
    addUnique(segments, id, { id, categoryId, area, crowd: flagField(segment, 'iscrowd') }, segment);
  });
  return {
    imageId: wholeField(from, 'image_id'),
    fileName: insideField(from, 'file_name'),
    segments: [...segments.values()],
  };
}

function checkCategories(read: Lists, categories: ReadonlyMap<number, PanopticCategory>): void {
  const position = new Map([...read.places].map(([imageId, { index }]) => [imageId, index]));
  for (const [imageId, { segments }] of read.annotations) {
    segments.forEach(({ categoryId }, index) => {
      const list = `annotations[${position.get(imageId)}].segments_info`;
      checkReference(categories, categoryId, { value: {}, file: read.file, list, index }, 'category_id');
    });
  }
}
