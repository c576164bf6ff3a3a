import { describeEnvironment, type Environment } from './environment';
import { cells, describeRoofs, markdownTable, type Row, rates } from './report';
import type { Roofs } from './roofs';
import type { Timing } from './statistics';

/** One contender in one case, as bench/compare.py writes it. */
export interface ContenderResult {
  contender: string;
  label: string;
  ms: Timing;
  peakRss: number;
  /** Loading, compiling, and the first run. */
  prepareSeconds: number;
  /** Greatest difference from PyTorch eager, as a share of the greatest value. Absent for eager itself. */
  error?: number;
}

/** One case with everyone who took part in it. */
export interface ComparedCase {
  case: string;
  title: string;
  shape: string;
  flops: number;
  bytes: number;
  rows: ContenderResult[];
  skipped: { contender: string; label: string; reason: string }[];
}

/** What one run of bench/compare.py found. */
export interface Comparison {
  environment: Environment & { python: string; torch: string; onnxruntime: string };
  roofs: Roofs;
  cases: ComparedCase[];
}

/** How many times as long as this package each contender of a case takes. */
export function ratios({ rows }: ComparedCase): Map<string, number> {
  const ours = rows.find(({ contender }) => contender === 'ours');
  if (ours === undefined) return new Map();
  return new Map(rows.map(({ contender, ms }) => [contender, ms.median / ours.ms.median]));
}

/** The comparison as rows of one table. */
export function comparisonRows({ cases, roofs }: Comparison): Row[] {
  return cases.flatMap((each) => {
    const { title, shape, flops, bytes } = each;
    const ratio = ratios(each);
    return each.rows.map((row): Row => {
      // The floor leaves out what is not a convolution: it has no rates of the whole.
      const floor = row.contender === 'floor';
      return {
        name: title,
        variant: row.label,
        shape,
        ms: row.ms,
        peakRss: row.peakRss,
        flops: floor ? 0 : flops,
        bytes,
        ...(floor ? { gflops: 0, gbs: 0, roofShare: 0 } : rates({ flops, bytes }, row.ms.median, roofs)),
        ratio: ratio.get(row.contender) ?? 0,
      };
    });
  });
}

/** The table and what stands around it, as lines of text: the rows' cells apart. */
export function describeComparison(comparison: Comparison): {
  head: string[];
  rows: string[][];
  notes: string[];
} {
  const { environment, roofs, cases } = comparison;
  const versions = `Python ${environment.python}, torch ${environment.torch}, ONNX Runtime ${environment.onnxruntime}`;
  const notes = cases.flatMap(({ title, skipped }) =>
    skipped.map(({ label, reason }) => `${title}, ${label}: not timed, ${reason}`),
  );
  const errors = cases.flatMap(({ rows }) => rows.map(({ error }) => error ?? 0));
  notes.push(
    `Before they were timed, all results agreed with PyTorch eager's to ${Math.max(0, ...errors).toExponential(1)} of the greatest value or better.`,
  );
  return {
    head: [...describeEnvironment(environment), versions, describeRoofs(roofs)],
    rows: cells(comparisonRows(comparison)),
    notes,
  };
}

/** The comparison in Markdown. */
export function comparisonMarkdown(comparison: Comparison): string {
  const { head, rows, notes } = describeComparison(comparison);
  return [head.join('\n'), markdownTable(rows), notes.map((note) => `- ${note}`).join('\n')].join('\n\n');
}

/** A ratio that two runs have in common. */
export interface RatioChange {
  case: string;
  label: string;
  /** How many times as long as this package the contender took then, and takes now. */
  before: number;
  now: number;
  /** now / before - 1: below 0 where this package has lost. */
  change: number;
  lost: boolean;
}

/** Losses above this share of a ratio count. */
export const ALLOWED_LOSS = 0.15;

/**
 * Compares the ratios of two runs, not their times: those depend on the machine and its mood. The floor is left out,
 * for it is no contender.
 */
export function compareRatios(before: Comparison, now: Comparison): RatioChange[] {
  return now.cases.flatMap((each) => {
    const earlier = before.cases.find((other) => other.case === each.case);
    if (earlier === undefined) return [];
    const then = ratios(earlier);
    const current = ratios(each);
    return each.rows
      .filter(({ contender }) => contender !== 'ours' && contender !== 'floor' && then.has(contender))
      .map(({ contender, label }) => {
        const [a, b] = [then.get(contender)!, current.get(contender)!];
        const change = b / a - 1;
        return { case: each.title, label, before: a, now: b, change, lost: change < -ALLOWED_LOSS };
      });
  });
}

/** The two marks around a block of a document. */
export function markedWith(name: string): readonly [begin: string, end: string] {
  return [`<!-- ${name} -->`, `<!-- /${name} -->`];
}

/** Puts text between two marks of a document. Throws where they are not there. */
export function replaceBetween(
  document: string,
  [begin, end]: readonly [string, string],
  text: string,
): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`expected the marks ${begin} and ${end}, found none`);
  return `${document.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${document.slice(to)}`;
}

/** Puts text between the marks of the comparison on a CPU. */
export function replaceMarked(document: string, text: string): string {
  return replaceBetween(document, markedWith('bench'), text);
}

/** What the README shows: plot, table, and where they come from. `base` is the path of the result files without ending. */
export function readmeBlock(comparison: Comparison, base: string): string {
  const { head, rows } = describeComparison(comparison);
  // The README has room for the essential columns: who, median, ratio, share of roof, memory.
  const wanted = ['', '', 'ms median', 'x ours', 'of roof', 'peak RSS'];
  const columns = [0, 1, ...wanted.slice(2).map((name) => rows[0]!.indexOf(name))];
  const table = markdownTable(rows.map((row) => columns.map((column) => row[column]!)));
  return `![Time taken by each contender as a multiple of freqfusion's](${base}.svg)\n\n${table}\n\n${head[0]}. All of it: [${base}.md](${base}.md).`;
}
