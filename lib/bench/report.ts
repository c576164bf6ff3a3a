import { describeEnvironment, type Environment } from './environment';
import type { Measured } from './measure';
import type { ThreadScaling } from './modules';
import { bandwidth, type Roofs, roofMs } from './roofs';
import type { Scaling } from './scaling';
import type { Timing } from './statistics';
import type { Work } from './work';

/** One line of a table: a contender in one case. */
export interface Row extends Work {
  /** What is computed. */
  name: string;
  /** Who computes it, or in which dtype and layout. */
  variant: string;
  shape: string;
  ms: Timing;
  /** In bytes. */
  peakRss: number;
  gflops: number;
  /** GB/s of the bytes that must be read and written. */
  gbs: number;
  /** Least possible time / median, 0 to 1. */
  roofShare: number;
  /** Median / that of this package in the same case; 1 for itself. Absent where nothing else ran. */
  ratio?: number;
}

/** Everything that one run of `freqfusion bench` measured. */
export interface BenchReport {
  environment: Environment;
  roofs: Roofs;
  rows: Row[];
  threads?: ThreadScaling;
  scaling?: Scaling;
  firstPage?: Timing;
}

/** Adds to a measurement what follows from it. */
export function makeRow(measured: Measured, roofs: Roofs): Row {
  const { work, ...rest } = measured;
  return { ...rest, ...work, ...rates(work, measured.ms.median, roofs) };
}

/** Rates of work done in `ms` milliseconds. */
export function rates(work: Work, ms: number, roofs: Roofs): Pick<Row, 'gflops' | 'gbs' | 'roofShare'> {
  return {
    gflops: work.flops / ms / 1e6,
    gbs: work.bytes / ms / 1e6,
    roofShare: roofMs(work, roofs) / ms,
  };
}

/** A time with three digits: "0.512", "15.5", "6561". */
export function milliseconds(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

const HEADER = ['', '', 'ms median', 'min', 'runs', 'GFLOP/s', 'GB/s', 'of roof', 'peak RSS'];

/** The rows as cells, with a header; a column of ratios where any row has one. */
export function cells(rows: readonly Row[]): string[][] {
  const compared = rows.some(({ ratio }) => ratio !== undefined);
  const header = [...HEADER];
  if (compared) header.splice(5, 0, 'x ours');
  const lines = rows.map((row, index) => {
    const repeated = index > 0 && rows[index - 1]!.name === row.name && rows[index - 1]!.shape === row.shape;
    const line = [
      repeated ? '' : `${row.name}, ${row.shape}`,
      row.variant,
      milliseconds(row.ms.median),
      milliseconds(row.ms.min),
      String(row.ms.runs),
      ...rateCells(row),
      `${(row.peakRss / 1e6).toFixed(0)} MB`,
    ];
    if (compared) line.splice(5, 0, row.ratio === undefined ? '' : row.ratio.toFixed(row.ratio < 10 ? 2 : 1));
    return line;
  });
  return [header, ...lines];
}

/** Rates and share of the roof; empty for a row whose work is not counted. */
function rateCells({ flops, gflops, gbs, roofShare }: Row): string[] {
  if (flops === 0) return ['', '', ''];
  const digits = roofShare < 0.01 ? 2 : roofShare < 0.1 ? 1 : 0;
  return [gflops.toFixed(1), gbs.toFixed(1), `${(100 * roofShare).toFixed(digits)} %`];
}

/** A Markdown table of cells, the first row its header; columns after the second are aligned right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [header = [], ...body] = rows;
  const line = (each: readonly string[]) =>
    `| ${each.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${header.map((_, column) => (column < 2 ? '---' : '---:')).join('|')}|`;
  return [line(header), rule, ...body.map(line)].join('\n');
}

/** The roofs in a line of words. */
export function describeRoofs(roofs: Roofs): string {
  const of = ({ best, median }: { best: number; median: number }) =>
    `${best.toFixed(0)} (median ${median.toFixed(0)})`;
  return `Roofs, measured in the same run: copy ${of(roofs.copy)} GB/s, with streaming stores ${of(roofs.stream)} GB/s, FMA peak ${of(roofs.fma)} GFLOP/s; the best of each copy and the peak count (${bandwidth(roofs).toFixed(0)} GB/s, ${roofs.fma.best.toFixed(0)} GFLOP/s).`;
}

/** Lines about what is not in the table: threads, scaling, the first page. */
export function describeRest(report: Pick<BenchReport, 'threads' | 'scaling' | 'firstPage'>): string[] {
  const lines: string[] = [];
  const { threads, scaling, firstPage } = report;
  if (threads !== undefined) {
    lines.push(
      `Threads: FreqFusion ${threads.case} takes ${milliseconds(threads.one)} ms with one and ${milliseconds(threads.all)} ms with ${threads.threads}, ${threads.speedup.toFixed(2)} times as fast.`,
    );
  }
  if (scaling !== undefined) lines.push(...describeScaling(scaling));
  if (firstPage !== undefined) {
    lines.push(
      `First result: ${(firstPage.median / 1000).toFixed(2)} s from the start of a process to its first segmented page (median of ${firstPage.runs}, best ${(firstPage.min / 1000).toFixed(2)} s).`,
    );
  }
  return lines;
}

function describeScaling({ channels, points, time, memory, left }: Scaling): string[] {
  const percent = (share: number) => `${share >= 0 ? '+' : ''}${(100 * share).toFixed(0)} %`;
  return [
    `Scaling, FreqFusion of ${channels} channels with the offset generator: time = ${time.intercept.toFixed(2)} ms + ${(time.slope * 1e6).toFixed(1)} ns a pixel, memory = ${(memory.intercept / 1e6).toFixed(0)} MB + ${memory.slope.toFixed(0)} bytes a pixel.`,
    ...points.map(
      (point, i) =>
        `  ${point.side} x ${point.side}: ${milliseconds(point.ms)} ms (${percent(time.residuals[i]!)} of the line), ${(point.peakRss / 1e6).toFixed(0)} MB (${percent(memory.residuals[i]!)})`,
    ),
    ...(left.length === 0 ? [] : [`  left out, as memory would not hold them: ${left.join(', ')}`]),
  ];
}

/** The whole report in Markdown. */
export function markdownReport(report: BenchReport): string {
  const parts = [describeEnvironment(report.environment).join('\n'), describeRoofs(report.roofs)];
  if (report.rows.length > 0) parts.push(markdownTable(cells(report.rows)));
  const rest = describeRest(report);
  if (rest.length > 0) parts.push(rest.map((line) => line.replace(/^ {2}/, '- ')).join('\n'));
  return `${parts.join('\n\n')}\n`;
}
