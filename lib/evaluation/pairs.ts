import { readdir } from 'node:fs/promises';
import { extname, join, parse } from 'node:path';
import { ImageError } from '../errors';

/** An image and the label map that it is judged by. */
export interface LabeledImage {
  readonly image: string;
  readonly label: string;
}

const IMAGE_EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.gif', '.avif']);

/** Options of {@link findPairs}. */
export interface FindPairsOptions {
  /** What a label's name has after the image's name. Default '_label'. The image's own name counts in another folder. */
  suffix?: string;
}

/**
 * Pairs the images of a folder with the label PNGs of the same or another folder: `page.jpg` with `page_label.png`,
 * or, in another folder, with `page.png`. Sorted by name.
 * Throws ERR_IMAGE_MISSING for a folder that is not there, and where an image has no label or no image is found.
 */
export async function findPairs(
  images: string,
  labels: string = images,
  { suffix = '_label' }: FindPairsOptions = {},
): Promise<LabeledImage[]> {
  const candidates = (await list(images)).filter((name) => IMAGE_EXTENSIONS.has(extname(name).toLowerCase()));
  const labelNames = new Set(labels === images ? candidates : await list(labels));
  const isLabel = (name: string) => labels === images && parse(name).name.endsWith(suffix);
  const pairs: LabeledImage[] = [];
  const alone: string[] = [];
  for (const name of candidates.filter((each) => !isLabel(each))) {
    const stem = parse(name).name;
    const wanted = [`${stem}${suffix}.png`, ...(labels === images ? [] : [`${stem}.png`])];
    const label = wanted.find((each) => labelNames.has(each));
    if (label === undefined) alone.push(name);
    else pairs.push({ image: join(images, name), label: join(labels, label) });
  }
  if (alone.length > 0) {
    throw missing(
      `${alone.length} images in ${images} have no label PNG in ${labels}, the first is ${alone[0]}`,
    );
  }
  if (pairs.length === 0) throw missing(`there are no images in ${images}`);
  return pairs;
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    throw missing(`the folder ${folder} cannot be listed (${(error as NodeJS.ErrnoException).code})`, error);
  }
}

function missing(message: string, cause?: unknown): ImageError {
  return new ImageError('ERR_IMAGE_MISSING', message, {
    expected: 'images with labels',
    actual: message,
    cause,
  });
}
