import type { Rle } from '../coco/rle';
import { ImageError, invalidArgument } from '../errors';
import { Canvas, fitText, textWidth } from './canvas';
import { innerPoints } from './inner-points';
import { renderOverlay } from './overlay';
import { paintMask } from './paint-mask';
import { instanceColor } from './palette';
import { drawTags, type Tag, tagSizes } from './tags';
import { checkRgb, type DecodedImage, type Rgb } from './types';

/** How detections and panoptic maps are drawn. */
export interface DetectionOverlayOptions {
  /** How strongly masks are painted over the image, 0 to 1. Default 0.45. */
  opacity?: number;
  /** Width in pixels of boxes and of the lines around masks; 0 for none. Default: 1 for each 400 pixels of the longer side. */
  lineWidth?: number;
  /** Write names (and scores) at detections and segments. Default true. */
  labels?: boolean;
  /** Draw boxes. Default true; a panoptic map has none. */
  boxes?: boolean;
  /** Draw masks, where there are any. Default true. */
  masks?: boolean;
  signal?: AbortSignal | undefined;
}

/** What is drawn of a detection. */
export interface DrawnDetection {
  readonly box: readonly [x1: number, y1: number, x2: number, y2: number];
  readonly score: number;
  readonly label: number;
  readonly className: string;
  readonly mask?: { readonly rle: Rle };
}

/** What {@link renderDetections} draws. */
export interface DetectionSubject {
  readonly width: number;
  readonly height: number;
  readonly detections: readonly DrawnDetection[];
  /** Colours by label. */
  readonly palette: readonly Rgb[];
}

/** What {@link renderPanoptic} draws; a PanopticMap is one. */
export interface PanopticSubject {
  readonly width: number;
  readonly height: number;
  readonly ids: Int32Array;
  readonly segments: readonly { id: number; label: number; className: string; isThing: boolean }[];
  readonly palette: readonly Rgb[];
}

/**
 * Draws detections into their image: masks, the best on top, then boxes, then names with scores, which move out of
 * each other's way. The event loop stays free. Throws ERR_IMAGE_SIZE, ERR_RANGE and ERR_COLOR.
 */
export async function renderDetections(
  image: DecodedImage,
  subject: DetectionSubject,
  options: DetectionOverlayOptions = {},
): Promise<Canvas> {
  const { opacity, lineWidth, signal } = checkDrawing(image, subject, options);
  const { labels = true, boxes = true, masks = true } = options;
  const canvas = Canvas.of(image);
  const colors = distinctColors(subject);
  const worstFirst = subject.detections.map((detection, i) => ({ detection, color: colors[i]! })).reverse();
  if (masks) {
    for (const { detection, color } of worstFirst) {
      if (detection.mask === undefined) continue;
      const contour = Math.ceil(lineWidth / 2);
      await paintMask(canvas, detection.mask.rle, { color, opacity, contour, signal });
    }
  }
  if (boxes && lineWidth > 0) {
    for (const { detection, color } of worstFirst) canvas.frame(detection.box, lineWidth, color);
  }
  if (labels) {
    const tags = subject.detections.map(({ box, className, score }, i): Tag => {
      const text = tagText(canvas, className, ` ${score.toFixed(2)}`);
      return { text, color: colors[i]!, places: placesAt(canvas, box, text) };
    });
    drawTags(canvas, tags);
  }
  return canvas;
}

/**
 * Paints a panoptic map over its image: every segment in a colour of its own, with its name inside. Pixels of no
 * segment stay as they are. Throws as {@link renderDetections}.
 */
export async function renderPanoptic(
  image: DecodedImage,
  subject: PanopticSubject,
  options: DetectionOverlayOptions = {},
): Promise<Canvas> {
  const { opacity, lineWidth, signal } = checkDrawing(image, subject, options);
  const { width, height, ids, segments } = subject;
  const order = new Map(segments.map(({ id }, i) => [id, i + 1]));
  const labels = Int32Array.from(ids, (id) => order.get(id) ?? 0);
  const colors = distinctColors({ detections: segments, palette: subject.palette });
  const picture = await renderOverlay(
    image,
    {
      width,
      height,
      labels,
      classes: ['void', ...segments.map(({ className }) => className)],
      palette: [[0, 0, 0], ...colors],
      shares: [],
    },
    { opacity, contours: Math.ceil(lineWidth / 2), skip: [0], legend: 'none', signal },
  );
  const canvas = Canvas.of(picture);
  if (options.labels ?? true) {
    const { capHeight, height: tagHeight, padding } = tagSizes(canvas);
    const points = innerPoints(labels, width, height, segments.length + 1);
    const tags = segments.flatMap(({ className }, i): Tag[] => {
      const point = points[i + 1];
      if (point === undefined) return [];
      const text = tagText(canvas, className);
      const left = point.x - textWidth(text, capHeight) / 2 - padding;
      return [{ text, color: colors[i]!, places: [[left, point.y - tagHeight / 2]] }];
    });
    drawTags(canvas, tags);
  }
  return canvas;
}

function checkDrawing(
  image: DecodedImage,
  { width, height, palette }: { width: number; height: number; palette: readonly Rgb[] },
  options: DetectionOverlayOptions,
): { opacity: number; lineWidth: number; signal: AbortSignal | undefined } {
  if (image.width !== width || image.height !== height) {
    const expected = `${width} x ${height} pixels`;
    const actual = `${image.width} x ${image.height} pixels`;
    throw new ImageError(
      'ERR_IMAGE_SIZE',
      `expected an image of ${width} x ${height} pixels, got ${actual}`,
      {
        expected,
        actual,
      },
    );
  }
  const { opacity = 0.45, signal } = options;
  const lineWidth = options.lineWidth ?? Math.max(2, Math.round(Math.max(width, height) / 400));
  if (!(opacity >= 0 && opacity <= 1))
    throw invalidArgument('ERR_RANGE', 'opacity', 'a number from 0 to 1', opacity);
  if (!Number.isInteger(lineWidth) || lineWidth < 0 || lineWidth > 64) {
    throw invalidArgument('ERR_RANGE', 'lineWidth', 'an integer from 0 to 64', lineWidth);
  }
  palette.forEach((color, i) => void checkRgb(color, `palette[${i}]`));
  return { opacity, lineWidth, signal };
}

/** A colour for each: its class's own, varied from one of the class to the next. */
function distinctColors(subject: {
  readonly detections: readonly { readonly label: number }[];
  readonly palette: readonly Rgb[];
}): Rgb[] {
  const seen = new Map<number, number>();
  return subject.detections.map(({ label }) => {
    const before = seen.get(label) ?? 0;
    seen.set(label, before + 1);
    return instanceColor(subject.palette[label] ?? [128, 128, 128], before);
  });
}

/** A name and what stands behind it; a long name is cut, so that the tag fits into the picture. */
function tagText(canvas: Canvas, name: string, behind = ''): string {
  const { capHeight, padding } = tagSizes(canvas);
  const room = canvas.width - 2 * padding - (behind === '' ? 0 : textWidth(`.${behind}`, capHeight));
  return `${fitText(name, capHeight, { room })}${behind}`;
}

/** Where the tag of a box may stand, the best place first: above it, in its corners, below it. */
function placesAt(
  canvas: Canvas,
  [x1, y1, x2, y2]: DrawnDetection['box'],
  text: string,
): [left: number, top: number][] {
  const { capHeight, height, padding } = tagSizes(canvas);
  const width = textWidth(text, capHeight) + 2 * padding;
  return [
    [x1, y1 - height],
    [x2 - width, y1 - height],
    [x1, y1],
    [x1, y2],
    [x2 - width, y2],
    [x2 - width, y1],
    [x1, y2 - height],
    [x2 - width, y2 - height],
  ];
}
