import { Canvas, textWidth, writePicture } from '../image/canvas';
import type { Rgb } from '../image/types';
import type { FeatureSimilarity } from './feature-similarity';

const WHITE: Rgb = [255, 255, 255];
const INK: Rgb = [38, 38, 38];
const GREY: Rgb = [120, 120, 120];
const GRID: Rgb = [225, 225, 225];
const INTRA: Rgb = [33, 102, 172];
const INTER: Rgb = [214, 96, 77];
const RIGHT: Rgb = [90, 174, 97];
const CAP = 11;

const SERIES = [
  { name: 'within the class', color: INTRA },
  { name: 'between classes', color: INTER },
  { name: 'right rate', color: RIGHT },
] as const;

const BAR = 7;
const ROW = 3 * BAR + 11;
const PLOT_WIDTH = 460;

/**
 * Draws the analysis as bars, one row a class and one for the averages: similarity within the class with its
 * standard deviation, similarity between classes, and the share of pixels nearest to their own centre. Text is
 * drawn by the package itself, so the picture looks the same on a machine without fonts.
 *
 * Returns the encoded picture, and writes it where `file` is given. Throws as {@link writePicture}.
 */
export async function similarityPlot(
  result: FeatureSimilarity,
  options: { file?: string; names?: readonly string[]; title?: string } = {},
): Promise<Buffer> {
  const { names = [], title = 'Feature similarity' } = options;
  const rows = result.classes
    .filter((entry) => entry.intraMean !== null || entry.interMean !== null || entry.rightRate !== null)
    .map((entry) => ({
      name: names[entry.label] ?? `class ${entry.label}`,
      values: [entry.intraMean, entry.interMean, entry.rightRate],
      spread: [entry.intraStd, entry.interStd, null],
    }));
  const known = (value: number) => (Number.isFinite(value) ? value : null);
  rows.push({
    name: 'all classes',
    values: [known(result.intraMean), known(result.interMean), known(result.classRightRate)],
    spread: [known(result.intraStd), known(result.interStd), null],
  });
  const least = Math.min(0, ...rows.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const low = Math.max(-1, Math.floor(least * 5) / 5);
  const left = Math.ceil(Math.max(...rows.map(({ name }) => textWidth(name, CAP)))) + 28;
  const top = 78;
  const width = left + PLOT_WIDTH + 64;
  const height = top + rows.length * ROW + 56;
  const canvas = new Canvas(width, height, WHITE);
  const at = (value: number) => left + ((Math.min(1, Math.max(low, value)) - low) / (1 - low)) * PLOT_WIDTH;

  canvas.text(title, 16, 14, 14, INK);
  drawKey(canvas, 16, 44);
  for (let tick = Math.round(low * 5); tick <= 5; tick += 1) {
    const x = at(tick / 5);
    canvas.rectangle(x, top - 4, 1, rows.length * ROW + 4, 0.5, tick === 0 ? GREY : GRID);
    const label = (tick / 5).toFixed(1);
    canvas.text(label, x - textWidth(label, 9) / 2, top + rows.length * ROW + 8, 9, GREY);
  }
  for (const [index, row] of rows.entries()) {
    const y = top + index * ROW;
    if (index === rows.length - 1) canvas.rectangle(16, y - 3, width - 32, 1, 0.5, GREY);
    canvas.text(row.name, left - 12 - textWidth(row.name, CAP), y + (3 * BAR - CAP) / 2 + 2, CAP, INK);
    row.values.forEach((value, series) => {
      if (value === null) return;
      const bar = y + 2 + series * BAR;
      const [from, to] = [Math.min(at(0), at(value)), Math.max(at(0), at(value))];
      canvas.rectangle(from, bar, Math.max(1, to - from), BAR - 1, 0.5, SERIES[series]!.color);
      const spread = row.spread[series];
      if (typeof spread === 'number' && Number.isFinite(spread)) {
        const middle = bar + (BAR - 1) / 2 - 0.5;
        const [start, stop] = [at(value - spread), at(value + spread)];
        canvas.rectangle(start, middle, Math.max(1, stop - start), 1, 0.5, INK);
        for (const end of [start, stop]) canvas.rectangle(end, bar + 1, 1, BAR - 3, 0.5, INK);
      }
    });
    const shown = row.values[0];
    if (typeof shown === 'number') canvas.text(shown.toFixed(2), left + PLOT_WIDTH + 14, y + 5, CAP, INTRA);
  }
  const summary =
    `margin ${figure(result.margin)}   right pixels ${figure(result.pixelRightRate * 100, 1)} %   ` +
    `${result.images} image${result.images === 1 ? '' : 's'}`;
  canvas.text(summary, 16, height - 24, CAP, INK);
  return writePicture({ data: canvas.data, width, height }, options.file);
}

function drawKey(canvas: Canvas, left: number, top: number): void {
  let x = left;
  for (const { name, color } of SERIES) {
    canvas.rectangle(x, top, 12, 12, 2, color);
    canvas.text(name, x + 18, top + 1, CAP, INK);
    x += 18 + textWidth(name, CAP) + 26;
  }
}

function figure(value: number, digits = 3): string {
  return Number.isFinite(value) ? value.toFixed(digits) : 'unknown';
}
