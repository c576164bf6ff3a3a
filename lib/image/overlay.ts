import { ImageError, invalidArgument } from '../errors';
import type { LabelMap } from './labels';
import { type LegendEntry, type LegendPlace, withLegend } from './legend';
import { paintClasses } from './paint-classes';
import { checkRgb, type DecodedImage, type Rgb } from './types';

/** Options of an overlay. */
export interface OverlayOptions {
  /** How strongly classes are painted over the image, 0 to 1. Default 0.5. */
  opacity?: number;
  /** Width in pixels of the lines around classes; 0 for none. Default: 1 for each 800 pixels of the longer side. */
  contours?: number;
  /** Classes that are left unpainted, by name or index. Default: those named "background". */
  skip?: readonly (string | number)[];
  /** Where the legend with names, colours and areas stands. Default 'auto'; 'none' keeps the image's own size. */
  legend?: LegendPlace;
  /** Lines under the legend. */
  captions?: readonly string[];
  signal?: AbortSignal | undefined;
}

/** What an overlay shows: the map, its classes, and how much of the image each covers. */
export interface OverlaySubject extends LabelMap {
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  /** Share of the image by class index, 0 to 1. */
  readonly shares: readonly number[];
}

/**
 * Paints a label map over the image that it belongs to and adds a legend. The event loop stays free: the work is cut
 * into slices. Throws ERR_IMAGE_SIZE where image and map differ in size, and ERR_RANGE, ERR_OPTION_VALUE or ERR_COLOR
 * for an option.
 */
export async function renderOverlay(
  image: DecodedImage,
  subject: OverlaySubject,
  options: OverlayOptions = {},
): Promise<{ data: Uint8Array; width: number; height: number }> {
  const { width, height } = subject;
  if (image.width !== width || image.height !== height) {
    throw new ImageError(
      'ERR_IMAGE_SIZE',
      `expected an image of ${width} x ${height} pixels, got ${image.width} x ${image.height}`,
      {
        expected: `${width} x ${height} pixels`,
        actual: `${image.width} x ${image.height} pixels`,
      },
    );
  }
  const { opacity = 0.5, legend = 'auto', captions = [], signal } = options;
  const contours = options.contours ?? Math.max(1, Math.round(Math.max(width, height) / 800));
  if (!(opacity >= 0 && opacity <= 1))
    throw invalidArgument('ERR_RANGE', 'opacity', 'a number from 0 to 1', opacity);
  if (!Number.isInteger(contours) || contours < 0 || contours > 64) {
    throw invalidArgument('ERR_RANGE', 'contours', 'an integer from 0 to 64', contours);
  }
  if (!['auto', 'right', 'bottom', 'none'].includes(legend)) {
    throw invalidArgument('ERR_OPTION_VALUE', 'legend', "'auto', 'right', 'bottom' or 'none'", legend);
  }
  subject.palette.forEach((color, i) => void checkRgb(color, `palette[${i}]`));
  const skipped = skippedClasses(subject.classes, options.skip);
  const { palette } = subject;
  const painted = await paintClasses(image, subject, { palette, opacity, contours, skipped, signal });
  if (legend === 'none') return painted;
  return withLegend(painted, entriesOf(subject), captions, legend);
}

function skippedClasses(classes: readonly string[], skip: OverlayOptions['skip']): Set<number> {
  const named = skip ?? classes.filter((name) => name.toLowerCase() === 'background');
  return new Set(
    named.map((which) => {
      const index = typeof which === 'number' ? which : classes.indexOf(which);
      if (index >= 0 && index < classes.length && Number.isInteger(index)) return index;
      throw invalidArgument(
        'ERR_OPTION_VALUE',
        'skip',
        `names or indices of the ${classes.length} classes`,
        which,
      );
    }),
  );
}

function entriesOf({ classes, palette, shares }: OverlaySubject): LegendEntry[] {
  return classes
    .map((name, i) => ({ name, color: palette[i] ?? ([0, 0, 0] as const), share: shares[i] ?? 0 }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share);
}
