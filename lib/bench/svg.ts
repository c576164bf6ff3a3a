import { bandwidth, type Roofs } from './roofs';

/** One bar of a chart. */
export interface Bar {
  label: string;
  value: number;
  /** What stands at its end. */
  text: string;
  /** This package's own. */
  own: boolean;
}

/** Bars that belong together, under a heading. */
export interface BarGroup {
  title: string;
  bars: readonly Bar[];
}

/** One point of a roofline: work per byte, and what was reached of it. */
export interface RooflinePoint {
  label: string;
  /** Floating-point operations per byte that must move. */
  intensity: number;
  gflops: number;
  own: boolean;
}

/** A plot: bars on a logarithmic scale and, where there are points, the roofline below them. */
export interface Plot {
  title: string;
  /** What the bars' lengths mean. */
  subtitle: string;
  groups: readonly BarGroup[];
  roofs?: Roofs;
  points?: readonly RooflinePoint[];
  /** Small print at the bottom. */
  footer: readonly string[];
}

const WIDTH = 860;
const LEFT = 250;
const RIGHT = 120;
const BAR = 18;
const ROOFLINE = 300;

// Both colour schemes in one file: a page in dark mode shows it dark, and every colour has contrast on its ground.
const STYLE = `
text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.ground { fill: #ffffff } .title { font-size: 16px; font-weight: 600 } .group { font-weight: 600 }
.small { font-size: 11px; fill: #59636e } .own { fill: #0969da } .other { fill: #afb8c1 }
.grid { stroke: #d1d9e0; stroke-width: 1 } .roof { stroke: #59636e; stroke-width: 1.5; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .ground { fill: #0d1117 } .small { fill: #9198a1 } .own { fill: #4493f8 }
  .other { fill: #656c76 } .grid { stroke: #3d444d } .roof { stroke: #9198a1 }
}`;

/** Escapes what would end a text or an attribute. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
}

/** The powers of ten from below the least, so that its bar has a length, to above the greatest value. */
export function decades(values: readonly number[]): [number, number] {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (logs.length === 0) return [0, 1];
  const low = Math.ceil(Math.min(...logs)) - 1;
  return [low, Math.max(low + 1, Math.ceil(Math.max(...logs)))];
}

/** Draws a plot as an SVG document: text stays text, and it is readable on light and dark pages. */
export function drawPlot(plot: Plot): string {
  const parts: string[] = [];
  let y = 30;
  parts.push(text(16, y, plot.title, 'title'), text(16, y + 20, plot.subtitle, 'small'));
  y = drawBars(plot, parts, y + 36);
  if (plot.roofs !== undefined && plot.points !== undefined && plot.points.length > 0) {
    y = drawRoofline(plot.roofs, plot.points, parts, y + 28);
  }
  y += 12;
  for (const line of plot.footer) {
    y += 16;
    parts.push(text(16, y, line, 'small'));
  }
  const height = y + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(plot.title)}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}" rx="6"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function drawBars({ groups }: Plot, parts: string[], top: number): number {
  const [low, high] = decades(groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const span = WIDTH - LEFT - RIGHT;
  const at = (value: number) => LEFT + (span * (Math.log10(value) - low)) / (high - low);
  const bottom = top + groups.reduce((height, { bars }) => height + 24 + bars.length * BAR + 8, 0);
  for (let power = low; power <= high; power += 1) {
    const x = at(10 ** power);
    parts.push(line(x, top, x, bottom), text(x, bottom + 14, number(10 ** power), 'small', 'middle'));
  }
  let y = top;
  for (const { title, bars } of groups) {
    y += 24;
    parts.push(text(16, y - 6, title, 'group'));
    for (const { label, value, text: caption, own } of bars) {
      const width = value > 0 ? Math.max(2, at(value) - LEFT) : 0;
      parts.push(
        text(LEFT - 8, y + 12, label, '', 'end'),
        `<rect class="${own ? 'own' : 'other'}" x="${LEFT}" y="${y + 1}" width="${width.toFixed(1)}" height="${BAR - 4}" rx="2"/>`,
        text(LEFT + width + 6, y + 12, caption, 'small'),
      );
      y += BAR;
    }
    y += 8;
  }
  return bottom + 18;
}

function drawRoofline(roofs: Roofs, points: readonly RooflinePoint[], parts: string[], top: number): number {
  const [left, span] = [70, WIDTH - 70 - RIGHT];
  const [lowX, highX] = decades(points.map(({ intensity }) => intensity));
  const [lowY, highY] = decades([...points.map(({ gflops }) => gflops), roofs.fma.best]);
  const x = (value: number) => left + (span * (Math.log10(value) - lowX)) / (highX - lowX);
  const y = (value: number) =>
    top + ROOFLINE - ((ROOFLINE - 20) * (Math.log10(value) - lowY)) / (highY - lowY);
  parts.push(text(16, top, 'Roofline: GFLOP/s over operations per byte that must move', 'group'));
  for (let power = lowX; power <= highX; power += 1) {
    const at = x(10 ** power);
    parts.push(line(at, top + 20, at, top + ROOFLINE));
    parts.push(text(at, top + ROOFLINE + 14, number(10 ** power), 'small', 'middle'));
  }
  for (let power = lowY; power <= highY; power += 1) {
    const at = y(10 ** power);
    parts.push(line(left, at, left + span, at), text(left - 6, at + 4, number(10 ** power), 'small', 'end'));
  }
  const ridge = roofs.fma.best / bandwidth(roofs);
  const corners = [
    Math.max(10 ** lowX, 10 ** lowY / bandwidth(roofs)),
    Math.min(Math.max(ridge, 10 ** lowX), 10 ** highX),
    10 ** highX,
  ].map((intensity) => {
    const reached = Math.min(roofs.fma.best, intensity * bandwidth(roofs));
    return `${x(intensity).toFixed(1)},${y(reached).toFixed(1)}`;
  });
  parts.push(`<polyline class="roof" points="${corners.join(' ')}"/>`);
  for (const { label, intensity, gflops, own } of points) {
    const [cx, cy] = [x(intensity).toFixed(1), y(gflops).toFixed(1)];
    parts.push(
      `<circle class="${own ? 'own' : 'other'}" cx="${cx}" cy="${cy}" r="4"><title>${escapeXml(`${label}: ${number(gflops)} GFLOP/s`)}</title></circle>`,
    );
    if (own) parts.push(text(Number(cx) + 7, Number(cy) + 4, label, 'small'));
  }
  return top + ROOFLINE + 18;
}

function text(x: number, y: number, content: string, className: string, anchor = 'start'): string {
  const classes = className === '' ? '' : ` class="${className}"`;
  const anchored = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${classes}${anchored}>${escapeXml(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="grid" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`;
}

function number(value: number): string {
  return value >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
