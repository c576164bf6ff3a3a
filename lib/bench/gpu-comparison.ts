import { markedWith, replaceBetween } from './comparison';
import { describeEnvironment, type Environment } from './environment';
import { microseconds } from './gpu-report';
import { markdownTable } from './report';
import type { Timing } from './statistics';
import { type BarGroup, drawPlot } from './svg';

/** One contender in one case, as bench/cuda_compare.py writes it. */
export interface GpuContender {
  contender: string;
  label: string;
  ms: Timing;
  /** Greatest device memory in tensors during a run beside inputs and weights. Absent for graphs, which keep theirs. */
  extraBytes?: number;
  prepareSeconds: number;
  /** Greatest ||result - expected|| / ||expected|| of its outputs. */
  error: number;
  /** What it is, where a contender is the best of several. */
  note?: string;
}

/** One case in one dtype with everyone who took part in it. */
export interface GpuCase {
  case: string;
  title: string;
  shape: string;
  dtype: string;
  /** Operations and bytes that the result needs at least; 0 where freqfusion itself could not be timed. */
  flops: number;
  bytes: number;
  rows: GpuContender[];
  skipped: { contender: string; label: string; reason: string; disagrees: boolean }[];
}

/** What one run of bench/cuda_compare.py found. */
export interface GpuComparison {
  /** null where freqfusion in Node did not start. */
  environment: Environment | null;
  gpu: {
    device: string;
    gpu: string;
    driver: string;
    memoryBytes: number;
    python: string;
    torch: string;
    cuda: string;
    cudnn: number;
  };
  /** GB/s of a copy on the device, between the measurements. */
  copy: { best: number; median: number } | null;
  cases: GpuCase[];
}

const HEADER = ['', '', 'us median', 'min', 'runs', 'x ours', 'of copy', 'extra memory'];

function ownMedian({ rows }: GpuCase): number | undefined {
  return rows.find(({ contender }) => contender === 'ours')?.ms.median;
}

function titleOf({ title, shape, dtype }: GpuCase): string {
  return `${title}, ${shape}, ${dtype}`;
}

/** The comparison as cells, with a header. */
export function gpuComparisonCells({ cases, copy }: GpuComparison): string[][] {
  const lines = cases.flatMap((each) => {
    const own = ownMedian(each);
    return each.rows.map(({ label, ms, extraBytes }, index) => [
      index === 0 ? titleOf(each) : '',
      label,
      microseconds(ms.median),
      microseconds(ms.min),
      String(ms.runs),
      own === undefined ? '' : (ms.median / own).toFixed(2),
      copy === null || each.bytes === 0
        ? ''
        : `${((100 * each.bytes) / ms.median / 1e6 / copy.best).toFixed(1)} %`,
      extraBytes === undefined ? '' : `${(extraBytes / 1e6).toFixed(1)} MB`,
    ]);
  });
  return [HEADER, ...lines];
}

/** What was measured, where, and what could not be, in lines of words. */
export function describeGpuComparison({ environment, gpu, copy, cases }: GpuComparison): {
  head: string[];
  notes: string[];
} {
  const head = [
    `${gpu.gpu} (${gpu.device}), ${Math.round(gpu.memoryBytes / 2 ** 30)} GiB, driver ${gpu.driver}`,
    `Python ${gpu.python}, torch ${gpu.torch}, CUDA ${gpu.cuda}, cuDNN ${gpu.cudnn}`,
    ...(environment === null ? ['freqfusion in Node did not start.'] : describeEnvironment(environment)),
  ];
  if (copy !== null) {
    head.push(
      `Copy on the device, measured in the same run: ${copy.best.toFixed(0)} GB/s (median ${copy.median.toFixed(0)}), bytes read and written.`,
    );
  }
  const notes = cases.flatMap((each) => [
    ...each.rows.flatMap(({ label, note }) =>
      note === undefined ? [] : [`${titleOf(each)}, ${label}: ${note}`],
    ),
    ...each.skipped.map(({ label, reason }) => `${titleOf(each)}, ${label}: not timed: ${reason}`),
  ]);
  const errors = new Map<string, number>();
  for (const { dtype, rows } of cases) {
    for (const { error } of rows) errors.set(dtype, Math.max(error, errors.get(dtype) ?? 0));
  }
  for (const [dtype, error] of errors) {
    notes.push(
      `${dtype}: before they were timed, all results agreed with those of float32 to ${error.toExponential(1)}, as norms of the difference and of the whole.`,
    );
  }
  return { head, notes };
}

/** The comparison in Markdown. */
export function gpuComparisonMarkdown(comparison: GpuComparison): string {
  const { head, notes } = describeGpuComparison(comparison);
  const table = markdownTable(gpuComparisonCells(comparison));
  return [head.join('\n'), table, notes.map((note) => `- ${note}`).join('\n')].join('\n\n');
}

/** How many times as long as this package every contender takes, as bars. */
export function plotGpuComparison(comparison: GpuComparison): string {
  const groups = comparison.cases.flatMap((each): BarGroup[] => {
    const own = ownMedian(each);
    if (own === undefined) return [];
    const bars = each.rows.map(({ contender, label, ms }) => ({
      label,
      value: ms.median / own,
      text: `${(ms.median / own).toFixed(1)} x, ${microseconds(ms.median)} us`,
      own: contender === 'ours' || contender === 'graph',
    }));
    return [{ title: titleOf(each), bars }];
  });
  return drawPlot({
    title: 'Time taken on a GPU, as a multiple of freqfusion',
    subtitle:
      'Same GPU, same run, interleaved; medians between CUDA events; logarithmic scale; shorter is faster',
    groups,
    footer: describeGpuComparison(comparison).head,
  });
}

const MARKS = markedWith('gpu-bench');

/** Puts table and plot between the README's marks for GPUs. A README without them, as before any GPU, stays as it is. */
export function replaceGpuBlock(readme: string, comparison: GpuComparison, base: string): string {
  if (!readme.includes(MARKS[0])) return readme;
  const columns = [0, 1, 2, 5, 7];
  const cells = gpuComparisonCells(comparison).map((row) => columns.map((column) => row[column]!));
  const { head } = describeGpuComparison(comparison);
  const plot = `![Time taken by each contender on a GPU as a multiple of freqfusion's](${base}.svg)`;
  return replaceBetween(
    readme,
    MARKS,
    `${plot}\n\n${markdownTable(cells)}\n\n${head[0]}. All of it: [${base}.md](${base}.md).`,
  );
}
