import { css } from './elements.js';
import type { DetectedObject } from './result.js';
import { percent } from './words.js';

const FONT = '600 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
const CHIP = 20;

/** Black or white: whichever reads better on a colour. */
export function inkOn([red, green, blue]: readonly [number, number, number]): string {
  const linear = [red, green, blue].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!;
  return luminance > 0.179 ? '#000' : '#fff';
}

/**
 * Draws boxes with names and scores, the best on top. `scale`: CSS pixels to a pixel of the image; the context's own
 * transform makes them device pixels.
 */
export function drawBoxes(
  context: CanvasRenderingContext2D,
  objects: readonly DetectedObject[],
  scale: number,
  { width, lit }: { width: number; lit?: number | undefined },
): void {
  context.font = FONT;
  context.textBaseline = 'middle';
  for (const { box, color, className, score, index } of [...objects].reverse()) {
    const [left, top, right, bottom] = box.map((value) => value * scale) as [number, number, number, number];
    const thick = index === lit ? 4 : 2;
    context.lineWidth = thick + 2;
    context.strokeStyle = 'rgb(0 0 0 / 45%)';
    context.strokeRect(left, top, right - left, bottom - top);
    context.lineWidth = thick;
    context.strokeStyle = css(color);
    context.strokeRect(left, top, right - left, bottom - top);
    const text = `${className} ${percent(score)}`;
    const wide = context.measureText(text).width + 12;
    // Above the box where there is room, and never out of the picture.
    const x = Math.max(0, Math.min(left - 1, width - wide));
    const y = top >= CHIP ? top - CHIP : top;
    context.fillStyle = css(color);
    context.fillRect(x, y, wide, CHIP);
    context.fillStyle = inkOn(color);
    context.fillText(text, x + 6, y + CHIP / 2 + 0.5);
  }
}
