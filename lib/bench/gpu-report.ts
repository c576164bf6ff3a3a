import { describeEnvironment } from './environment';
import type { GpuReport, GpuRow } from './gpu';
import { markdownTable } from './report';
import { type BarGroup, drawPlot } from './svg';

const HEADER = ['', '', 'us median', 'min', 'runs', 'GB/s', 'of copy', 'extra memory'];

/** Microseconds with three digits. */
export function microseconds(ms: number): string {
  const us = 1000 * ms;
  return us >= 100 ? us.toFixed(0) : us.toPrecision(3);
}

function sameCase(a: GpuRow | undefined, b: GpuRow): boolean {
  return a?.name === b.name && a.shape === b.shape;
}

/** The rows as cells, with a header. A row that could not be measured says so in place of its time. */
export function gpuCells(rows: readonly GpuRow[]): string[][] {
  const lines = rows.map((row, index) => {
    const head = [sameCase(rows[index - 1], row) ? '' : `${row.name}, ${row.shape}`, row.variant];
    const { ms, gbs = 0, copyShare = 0, extraBytes = 0 } = row;
    if (ms === undefined) return [...head, 'failed', '', '', '', '', ''];
    return [
      ...head,
      microseconds(ms.median),
      microseconds(ms.min),
      String(ms.runs),
      gbs.toFixed(0),
      `${(100 * copyShare).toFixed(copyShare < 0.1 ? 1 : 0)} %`,
      `${(extraBytes / 1e6).toFixed(1)} MB`,
    ];
  });
  return [HEADER, ...lines];
}

/** What was measured, where, and what failed, in lines of words. */
export function describeGpuReport({ environment, gpu, copy, rows }: GpuReport): {
  head: string[];
  notes: string[];
} {
  const memory = `${Math.round(gpu.memoryBytes / 2 ** 30)} GiB`;
  return {
    head: [
      `${gpu.name} (${gpu.device}), ${memory}, driver ${gpu.driver}`,
      ...describeEnvironment(environment),
      `Copy on the device, measured in the same run: ${copy.best.toFixed(0)} GB/s (median ${copy.median.toFixed(0)}), bytes read and written.`,
    ],
    notes: rows.flatMap(({ name, shape, variant, error }) =>
      error === undefined ? [] : [`${name}, ${shape}, ${variant}: not measured: ${error}`],
    ),
  };
}

/** The whole report in Markdown. */
export function gpuMarkdown(report: GpuReport): string {
  const { head, notes } = describeGpuReport(report);
  const parts = [head.join('\n'), markdownTable(gpuCells(report.rows))];
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'));
  return `${parts.join('\n\n')}\n`;
}

/** Times as bars. A GPU's peak is not measured, so there is no roofline: the share of the copy stands at each bar. */
export function plotGpuReport(report: GpuReport): string {
  const groups: (BarGroup & { bars: BarGroup['bars'][number][] })[] = [];
  for (const [index, row] of report.rows.entries()) {
    if (row.ms === undefined) continue;
    if (groups.length === 0 || !sameCase(report.rows[index - 1], row)) {
      groups.push({ title: `${row.name}, ${row.shape}`, bars: [] });
    }
    groups.at(-1)!.bars.push({
      label: row.variant,
      value: row.ms.median,
      text: `${microseconds(row.ms.median)} us, ${(100 * (row.copyShare ?? 0)).toFixed(0)} % of a copy`,
      own: true,
    });
  }
  return drawPlot({
    title: 'freqfusion bench on a GPU',
    subtitle: 'Milliseconds, median, logarithmic scale',
    groups,
    footer: describeGpuReport(report).head,
  });
}
