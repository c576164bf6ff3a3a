import { Canvas, fitText, textWidth } from './canvas';
import type { Rgb } from './types';

/** One line of a legend. */
export interface LegendEntry {
  readonly name: string;
  readonly color: Rgb;
  /** Share of the image, 0 to 1. */
  readonly share: number;
}

/** Where a legend stands: beside the image, below it, or wherever it leaves the picture less elongated. */
export type LegendPlace = 'auto' | 'right' | 'bottom' | 'none';

const PAPER: Rgb = [250, 250, 251];
const INK: Rgb = [32, 33, 36];
const SOFT: Rgb = [95, 99, 104];
const RULE: Rgb = [218, 220, 224];

/** Characters of a caption that are drawn at most. */
const MOST_OF_CAPTION = 200;

/** Words a share: "37.2 %", "<0.1 %". */
export function formatShare(share: number): string {
  if (share > 0 && share < 0.0005) return '<0.1 %';
  return `${(share * 100).toFixed(1)} %`;
}

interface Measures {
  capHeight: number;
  line: number;
  margin: number;
  swatch: number;
  swatchGap: number;
  columnGap: number;
}

function measure(width: number, height: number): Measures {
  const capHeight = Math.round(Math.min(48, Math.max(9, Math.sqrt(width * height) / 58)));
  return {
    capHeight,
    line: Math.round(capHeight * 2.3),
    margin: Math.round(capHeight * 1.8),
    swatch: Math.round(capHeight * 1.5),
    swatchGap: Math.round(capHeight * 0.9),
    columnGap: Math.round(capHeight * 1.9),
  };
}

/**
 * Joins a picture and its legend on one canvas. Entries that do not fit beside the picture are summed up in a last
 * line; captions stand under the entries in grey.
 */
export function withLegend(
  picture: { data: Uint8Array; width: number; height: number },
  entries: readonly LegendEntry[],
  captions: readonly string[],
  place: Exclude<LegendPlace, 'none'>,
): Canvas {
  const { width, height } = picture;
  const sizes = measure(width, height);
  // The canvas grows with its texts: very long ones are cut.
  const named = entries.map((entry) => ({ ...entry, name: fitText(entry.name, sizes.capHeight) }));
  const notes = captions.map((caption) => fitText(caption, sizes.capHeight, { most: MOST_OF_CAPTION }));
  const side = place === 'auto' ? (width > height * 1.2 ? 'bottom' : 'right') : place;
  return side === 'right' ? beside(picture, named, notes, sizes) : below(picture, named, notes, sizes);
}

function shorten(
  entries: readonly LegendEntry[],
  room: number,
): { shown: readonly LegendEntry[]; rest: string[] } {
  if (entries.length <= room) return { shown: entries, rest: [] };
  const shown = entries.slice(0, Math.max(1, room - 1));
  const others = entries.slice(shown.length);
  const share = others.reduce((sum, entry) => sum + entry.share, 0);
  return { shown, rest: [`and ${others.length} more, ${formatShare(share)}`] };
}

function beside(
  { data, width, height }: { data: Uint8Array; width: number; height: number },
  entries: readonly LegendEntry[],
  captions: readonly string[],
  sizes: Measures,
): Canvas {
  const { capHeight, line, margin, swatch, swatchGap, columnGap } = sizes;
  const room = Math.max(
    3,
    Math.floor((height - 2 * margin) / line) - captions.length - (captions.length > 0 ? 1 : 0),
  );
  const { shown, rest } = shorten(entries, room);
  const notes = [...rest, ...captions];
  const names = Math.max(0, ...shown.map(({ name }) => textWidth(name, capHeight)));
  const shares = Math.max(0, ...shown.map(({ share }) => textWidth(formatShare(share), capHeight)));
  const words = Math.max(0, ...notes.map((note) => textWidth(note, capHeight)));
  const inner = Math.ceil(Math.max(swatch + swatchGap + names + columnGap + shares, words));
  const rows = shown.length + notes.length;
  const panel = 2 * margin + rows * line + (notes.length > 0 ? line / 2 : 0) - (line - swatch);
  const canvas = new Canvas(width + inner + 2 * margin, Math.max(height, Math.ceil(panel)), PAPER);
  canvas.paste(data, width, height, 0, 0);

  const left = width + margin;
  let top = margin;
  for (const entry of shown) {
    drawEntry(canvas, entry, left, top, sizes, left + inner);
    top += line;
  }
  drawNotes(canvas, notes, left, top, left + inner, sizes);
  return canvas;
}

function below(
  { data, width, height }: { data: Uint8Array; width: number; height: number },
  entries: readonly LegendEntry[],
  captions: readonly string[],
  sizes: Measures,
): Canvas {
  const { capHeight, line, margin, swatch, swatchGap, columnGap } = sizes;
  const { shown, rest } = shorten(entries, 24);
  const notes = [...rest, ...captions];
  const names = Math.max(0, ...shown.map(({ name }) => textWidth(name, capHeight)));
  const shares = Math.max(0, ...shown.map(({ share }) => textWidth(formatShare(share), capHeight)));
  const cell = Math.ceil(swatch + swatchGap + names + columnGap / 2 + shares);
  const words = Math.ceil(Math.max(0, ...notes.map((note) => textWidth(note, capHeight))));
  const full = Math.max(width, cell + 2 * margin, words + 2 * margin);
  const columns = Math.max(
    1,
    Math.min(shown.length, Math.floor((full - 2 * margin + columnGap) / (cell + columnGap))),
  );
  const rows = Math.ceil(shown.length / columns);
  const panel =
    2 * margin + (rows + notes.length) * line + (notes.length > 0 ? line / 2 : 0) - (line - swatch);
  const canvas = new Canvas(full, height + Math.ceil(panel), PAPER);
  canvas.paste(data, width, height, 0, 0);

  shown.forEach((entry, i) => {
    // Down the columns, so that the largest classes stand above each other on the left.
    const left = margin + Math.floor(i / rows) * (cell + columnGap);
    drawEntry(canvas, entry, left, height + margin + (i % rows) * line, sizes, left + cell);
  });
  drawNotes(canvas, notes, margin, height + margin + rows * line, full - margin, sizes);
  return canvas;
}

function drawEntry(
  canvas: Canvas,
  entry: LegendEntry,
  left: number,
  top: number,
  sizes: Measures,
  right: number,
): void {
  const { capHeight, swatch, swatchGap } = sizes;
  const radius = swatch / 5;
  canvas.rectangle(left - 1, top - 1, swatch + 2, swatch + 2, radius + 1, RULE);
  canvas.rectangle(left, top, swatch, swatch, radius, entry.color);
  const baseline = top + (swatch - capHeight) / 2;
  canvas.text(entry.name, left + swatch + swatchGap, baseline, capHeight, INK);
  const share = formatShare(entry.share);
  canvas.text(share, right - textWidth(share, capHeight), baseline, capHeight, SOFT);
}

function drawNotes(
  canvas: Canvas,
  notes: readonly string[],
  left: number,
  top: number,
  right: number,
  { capHeight, line, swatch }: Measures,
): void {
  if (notes.length === 0) return;
  canvas.rectangle(left, Math.round(top - line * 0.15), right - left, 1, 0, RULE);
  notes.forEach((note, i) => {
    canvas.text(note, left, top + line / 2 + i * line + (swatch - capHeight) / 2, capHeight, SOFT);
  });
}
