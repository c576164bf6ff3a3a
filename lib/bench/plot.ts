import { describeEnvironment } from './environment';
import { type BenchReport, milliseconds, type Row } from './report';
import type { Roofs } from './roofs';
import { type BarGroup, drawPlot, type RooflinePoint } from './svg';

/** Consecutive rows of one case. */
function casesOf(rows: readonly Row[]): Row[][] {
  const cases: Row[][] = [];
  for (const row of rows) {
    const last = cases.at(-1);
    const first = last?.[0];
    if (first?.name === row.name && first.shape === row.shape) last!.push(row);
    else cases.push([row]);
  }
  return cases;
}

function pointsOf(rows: readonly Row[], own: (row: Row) => boolean): RooflinePoint[] {
  return rows
    .filter(({ flops, gflops }) => flops > 0 && gflops > 0)
    .map((row) => ({
      label: row.name,
      intensity: row.flops / row.bytes,
      gflops: row.gflops,
      own: own(row),
    }));
}

/** The plot of `freqfusion bench`: times as bars, and the roofline. */
export function plotReport(report: BenchReport): string {
  const groups = casesOf(report.rows).map(
    (rows): BarGroup => ({
      title: `${rows[0]!.name}, ${rows[0]!.shape}`,
      bars: rows.map((row) => ({
        label: row.variant,
        value: row.ms.median,
        text: `${milliseconds(row.ms.median)} ms, ${(100 * row.roofShare).toFixed(0)} % of the roof`,
        own: true,
      })),
    }),
  );
  const firsts = casesOf(report.rows).map((rows) => rows[0]!);
  return drawPlot({
    title: 'freqfusion bench',
    subtitle: 'Milliseconds, median, logarithmic scale',
    groups,
    roofs: report.roofs,
    points: pointsOf(firsts, () => true),
    footer: describeEnvironment(report.environment),
  });
}

/** The plot of a comparison: how many times as long as this package every contender takes, and the roofline. */
export function plotComparison(rows: readonly Row[], roofs: Roofs, footer: readonly string[]): string {
  const groups = casesOf(rows).map(
    (each): BarGroup => ({
      title: `${each[0]!.name}, ${each[0]!.shape}`,
      bars: each.map((row) => ({
        label: row.variant,
        value: row.ratio ?? 0,
        text: `${(row.ratio ?? 0).toFixed(1)} x, ${milliseconds(row.ms.median)} ms`,
        own: row.ratio === 1,
      })),
    }),
  );
  return drawPlot({
    title: 'Time taken, as a multiple of freqfusion',
    subtitle: 'Same machine, same run, interleaved, float32; medians; logarithmic scale; shorter is faster',
    groups,
    roofs,
    points: pointsOf(rows, (row) => row.ratio === 1),
    footer,
  });
}
