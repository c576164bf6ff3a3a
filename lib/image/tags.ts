import { type Canvas, textWidth } from './canvas';
import type { Rgb } from './types';

/** A name on a coloured ground. */
export interface Tag {
  readonly text: string;
  readonly color: Rgb;
  /** Upper left corners where it may stand, the best first. */
  readonly places: readonly (readonly [left: number, top: number])[];
}

const INK: Rgb = [24, 25, 28];
const PAPER: Rgb = [255, 255, 255];

/** Sizes of tags in pixels, fitting the picture. */
export function tagSizes({ width, height }: { width: number; height: number }): {
  capHeight: number;
  padding: number;
  height: number;
} {
  const capHeight = Math.round(Math.min(40, Math.max(8, Math.sqrt(width * height) / 75)));
  return { capHeight, padding: Math.round(capHeight * 0.5), height: Math.round(capHeight * 1.9) };
}

interface Placed {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Draws tags where they hide no earlier one, as far as their places allow it; all stay within the picture. */
export function drawTags(canvas: Canvas, tags: readonly Tag[]): void {
  const { capHeight, padding, height } = tagSizes(canvas);
  const placed: Placed[] = [];
  const drawings = tags.map(({ text, color, places }) => {
    const width = textWidth(text, capHeight) + 2 * padding;
    const candidates = places
      .map(([left, top]) => within(canvas, left, top, width, height))
      // What had to move far would stand at another thing.
      .sort((a, b) => a.moved - b.moved);
    const free = candidates.find(({ area }) => !placed.some((other) => overlap(area, other)));
    const { area } = free ?? candidates[0]!;
    placed.push(area);
    return { text, color, area, width };
  });
  // The best comes last, on top of those that found no place of their own.
  for (const { text, color, area, width } of drawings.reverse()) {
    canvas.rectangle(area.left, area.top, width, height, capHeight / 4, color);
    const ink = luminance(color) > 150 ? INK : PAPER;
    canvas.text(text, area.left + padding, area.top + (height - capHeight) / 2, capHeight, ink);
  }
}

function within(
  canvas: Canvas,
  left: number,
  top: number,
  width: number,
  height: number,
): { area: Placed; moved: number } {
  const x = Math.max(0, Math.min(left, canvas.width - width));
  const y = Math.max(0, Math.min(top, canvas.height - height));
  const area = { left: x, top: y, right: x + width, bottom: y + height };
  // To the side does no harm: the tag still touches its box.
  return { area, moved: Math.abs(y - top) > 1 ? 1 : 0 };
}

function overlap(a: Placed, b: Placed): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function luminance([r, g, b]: Rgb): number {
  return 0.299 * r + 0.587 * g + 0.114 * b;
}
