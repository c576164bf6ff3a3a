import { writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import { ImageError, invalidArgument } from '../errors';
import { decodeImage } from './decode';
import { hasIndices, readPngIndices } from './png-indices';
import { readSource } from './source';
import { type DecodeOptions, type ImageInput, MAX_PIXELS, type Rgb } from './types';

/** A map of class indices, row-major [height, width]. */
export interface LabelMap {
  readonly width: number;
  readonly height: number;
  readonly labels: Uint8Array | Uint16Array | Int32Array;
}

/** Options of {@link readLabelMap}. */
export interface ReadLabelsOptions extends Pick<DecodeOptions, 'maxPixels' | 'maxBytes' | 'signal'> {
  /**
   * Colours of the classes: with it a colour-coded map is read by looking every pixel's colour up. Not needed for
   * greyscale and palette PNGs, whose stored indices are taken as they are.
   */
  palette?: readonly Rgb[] | undefined;
  /** Value for colours that the palette does not have. Default: ERR_LABEL_COLOR. */
  unknown?: number | undefined;
}

/**
 * Reads a label map: the stored indices of a greyscale or palette PNG, or, with `palette`, any image whose colours
 * stand for classes. Throws what {@link decodeImage} throws, ERR_LABEL_FORMAT for a colour image without a palette
 * (or a greyscale one that is lossy), and ERR_LABEL_COLOR for a colour that stands for no class.
 */
export async function readLabelMap(input: ImageInput, options: ReadLabelsOptions = {}): Promise<LabelMap> {
  const { maxPixels = MAX_PIXELS, maxBytes, signal, palette, unknown } = options;
  const source = await readSource(input, { maxBytes, signal });
  if (source.kind === 'raw' && source.image.channels === 1) {
    const { data, width, height } = source.image;
    return { width, height, labels: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  }
  const what = source.kind === 'encoded' ? (source.file ?? 'the label map') : 'the label map';
  if (source.kind === 'encoded' && hasIndices(source.bytes)) {
    const { width, height, indices } = await readPngIndices(source.bytes, maxPixels, what);
    return { width, height, labels: indices };
  }
  if (palette === undefined) {
    const expected = 'a greyscale or palette PNG, or the palette of a colour-coded map';
    throw new ImageError('ERR_LABEL_FORMAT', `expected ${expected} for ${what}`, {
      expected,
      actual: 'colours',
    });
  }
  const pixels = source.kind === 'encoded' ? source.bytes : source.image;
  const { data, width, height } = await decodeImage(pixels, { maxPixels, ...(signal ? { signal } : {}) });
  return { width, height, labels: lookUp(data, palette, unknown, what) };
}

function lookUp(
  data: Uint8Array,
  palette: readonly Rgb[],
  unknown: number | undefined,
  what: string,
): Int32Array {
  const classes = new Map(palette.map(([r, g, b], index) => [(r << 16) | (g << 8) | b, index]));
  const labels = new Int32Array(data.length / 3);
  for (let i = 0; i < labels.length; i++) {
    const color = (data[3 * i]! << 16) | (data[3 * i + 1]! << 8) | data[3 * i + 2]!;
    const index = classes.get(color) ?? unknown;
    if (index === undefined) {
      const shown = `#${color.toString(16).padStart(6, '0')}`;
      throw new ImageError(
        'ERR_LABEL_COLOR',
        `the colour ${shown} in ${what} stands for no class of the palette`,
        {
          expected: 'a colour of the palette',
          actual: shown,
        },
      );
    }
    labels[i] = index;
  }
  return labels;
}

/**
 * Encodes class indices as a greyscale PNG of one channel: 8 bits, or 16 where an index is over 255. The stored
 * samples are the indices themselves, so that any PNG reader gives them back unscaled.
 * Throws ERR_LABEL_VALUE for an index outside 0 to 65535.
 */
export async function encodeLabelPng({ labels, width, height }: LabelMap): Promise<Buffer> {
  let highest = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label > highest) highest = label;
    if (label < 0 || label > 65535)
      throw invalidArgument('ERR_LABEL_VALUE', 'labels', 'indices from 0 to 65535', label);
  }
  const wide = highest > 255;
  const samples = wide
    ? Uint16Array.from(labels)
    : labels.BYTES_PER_ELEMENT === 1
      ? labels
      : Uint8Array.from(labels);
  const raw = { width, height, channels: 1 as const };
  return sharp(samples as Uint8Array | Uint16Array, { raw, limitInputPixels: false })
    .toColourspace(wide ? 'grey16' : 'b-w')
    .png({ palette: false })
    .toBuffer();
}

/** Writes bytes to a file; ERR_IMAGE_WRITE says why it cannot be done. */
export async function writeBytes(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(file, bytes);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const reason = code === 'ENOENT' ? 'its folder does not exist' : code;
    throw new ImageError('ERR_IMAGE_WRITE', `${file} cannot be written: ${reason}`, {
      expected: 'a file that can be written',
      actual: reason,
      cause: error,
    });
  }
}
