import { readFileSync, writeFileSync } from 'node:fs';
import { print, table } from '../cli/output';
import type { GpuReport } from './gpu';
import {
  describeGpuComparison,
  type GpuComparison,
  gpuComparisonCells,
  gpuComparisonMarkdown,
  plotGpuComparison,
  replaceGpuBlock,
} from './gpu-comparison';
import { describeGpuReport, gpuCells, gpuMarkdown, plotGpuReport } from './gpu-report';

// A program of its own: shows what bench/cuda_compare.py or `freqfusion bench --device cuda --json` has found.
// `gpu-render.js RESULT` prints the table, `gpu-render.js RESULT --save BASE [README]` also writes BASE.md and BASE.svg,
// and a comparison's table into the README's marked block for GPUs where there is one.

type Result = GpuComparison | GpuReport;

const isComparison = (result: Result): result is GpuComparison => 'cases' in result;

function show(result: Result): void {
  const { head, notes } = isComparison(result) ? describeGpuComparison(result) : describeGpuReport(result);
  for (const line of head) print(line);
  print();
  const cells = isComparison(result) ? gpuComparisonCells(result) : gpuCells(result.rows);
  for (const line of table(cells, ['left', 'left', ...new Array<'right'>(6).fill('right')])) print(line);
  print();
  for (const line of notes) print(line);
}

function save(result: Result, base: string, readme: string | undefined): void {
  const [title, text, plot] = isComparison(result)
    ? ['# freqfusion and PyTorch on a GPU', gpuComparisonMarkdown(result), plotGpuComparison(result)]
    : ['# freqfusion bench on a GPU', gpuMarkdown(result), plotGpuReport(result)];
  writeFileSync(`${base}.md`, `${title}\n\n${text.trimEnd()}\n`);
  writeFileSync(`${base}.svg`, plot);
  if (readme === undefined || !isComparison(result)) return;
  const before = readFileSync(readme, 'utf8');
  const after = replaceGpuBlock(before, result, base);
  if (after !== before) writeFileSync(readme, after);
}

const [file, what, base, readme] = process.argv.slice(2);
const result = JSON.parse(readFileSync(file!, 'utf8')) as Result;
show(result);
if (what === '--save') save(result, base!, readme);
