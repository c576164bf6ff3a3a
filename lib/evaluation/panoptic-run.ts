import {
  type PanopticAnnotation,
  type PanopticCategory,
  type PanopticSegment,
  readPanoptic,
} from '../coco/panoptic';
import type { CocoBox } from '../coco/run-lengths';
import { CocoError } from '../errors';
import {
  categoriesOf,
  checkSize,
  type DataSetRunOptions,
  type Detector,
  detectImages,
  type FoundSegments,
} from './detector';
import { type PanopticSource, pngFolder, readPanopticImage } from './panoptic-files';
import { type PanopticImage, PanopticQuality, type PanopticReport } from './panoptic-quality';

/** What was found in an image, in the categories of the annotations that it is judged by. */
export interface FoundPanoptic extends PanopticImage {
  readonly segments: readonly (PanopticSegment & { readonly box: CocoBox; readonly isThing: boolean })[];
}

/** Options of {@link evaluatePanopticModel}. */
export interface EvaluatePanopticOptions extends DataSetRunOptions {
  /** Judge the first images of the annotation file alone. */
  limit?: number | undefined;
  /** Gets the segments of every image, with the categories of the truth, for panoptic results. */
  onSegments?: (segments: FoundPanoptic, annotation: PanopticAnnotation) => Promise<void> | void;
}

/**
 * Runs a panoptic model over the images of a panoptic file and scores what it finds; classes are the categories of the
 * same names. Throws ERR_COCO_REFERENCE for a segment of a class that the annotations do not have, ERR_NOT_SUPPORTED
 * for a model without panoptic maps, ERR_IMAGE_SIZE for an image whose size is not that of its annotations, and what
 * reading and detecting throw.
 * @param folder where the images lie.
 */
export async function evaluatePanopticModel(
  model: Detector,
  truth: PanopticSource,
  folder: string,
  options: EvaluatePanopticOptions = {},
): Promise<PanopticReport> {
  const { limit, onSegments, ...run } = options;
  const annotations = await readPanoptic(truth.file, run.signal);
  const categories = categoriesOf(model.classes, annotations.categories.values(), truth.file);
  const quality = new PanopticQuality(annotations.categories.values());
  const images = [...annotations.annotations.values()]
    .slice(0, limit)
    .map((annotation) => ({ annotation, fileName: imageName(annotation, annotations.imageNames) }));
  const pngs = pngFolder(truth);
  for await (const { image, found } of detectImages(model, images, folder, run)) {
    const trueImage = await readPanopticImage(image.annotation, pngs, run.signal);
    if (found.panoptic === undefined) throw noMap();
    checkSize(trueImage, found.panoptic, image.fileName);
    const predicted = withCategories(found.panoptic, categories, model.classes, truth.file);
    quality.add(trueImage, predicted, image.fileName);
    await onSegments?.(predicted, image.annotation);
  }
  return quality.report();
}

/** COCO names the PNG after the image, which its list of images names too. */
function imageName({ imageId, fileName }: PanopticAnnotation, names: ReadonlyMap<number, string>): string {
  return names.get(imageId) ?? fileName.replace(/\.png$/, '.jpg');
}

function withCategories(
  { width, height, ids, segments }: FoundSegments,
  categories: readonly (PanopticCategory['id'] | undefined)[],
  classes: readonly string[],
  file: string,
): FoundPanoptic {
  const described = segments.map(({ id, label, ...rest }) => {
    const categoryId = categories[label];
    if (categoryId !== undefined) return { id, categoryId, crowd: false, ...rest };
    const expected = `a category ${classes[label]}`;
    throw new CocoError('ERR_COCO_REFERENCE', `expected ${expected} in ${file}, got none`, {
      expected,
      actual: 'none',
    });
  });
  return { width, height, ids, segments: described };
}

function noMap(): CocoError {
  const expected = 'a panoptic model';
  return new CocoError(
    'ERR_NOT_SUPPORTED',
    `expected ${expected} for the task panoptic, got one without panoptic maps`,
    {
      expected,
      actual: 'a detector',
    },
  );
}
