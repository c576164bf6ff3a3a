import { readFileSync, writeFileSync } from 'node:fs';
import { print, table } from '../cli/output';
import {
  type Comparison,
  compareRatios,
  comparisonMarkdown,
  comparisonRows,
  describeComparison,
  readmeBlock,
  replaceMarked,
} from './comparison';
import { plotComparison } from './plot';

// A program of its own: shows what bench/compare.py has found. `render.js RESULT` prints the table;
// `render.js RESULT --save BASE README` writes BASE.md and BASE.svg and the README's marked block;
// `render.js RESULT --check EARLIER` compares ratios, and ends with 1 where one was lost.

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Comparison;

function show(result: Comparison): void {
  const { head, rows, notes } = describeComparison(result);
  for (const line of head) print(line);
  print();
  for (const line of table(rows, ['left', 'left', ...new Array<'right'>(8).fill('right')])) print(line);
  print();
  for (const line of notes) print(line);
}

function save(result: Comparison, base: string, readme: string): void {
  const { head } = describeComparison(result);
  const title = '# freqfusion and others, side by side\n\nMade by `npm run bench:compare -- --save`.';
  writeFileSync(`${base}.md`, `${title}\n\n${comparisonMarkdown(result)}\n`);
  writeFileSync(`${base}.svg`, plotComparison(comparisonRows(result), result.roofs, head.slice(0, 3)));
  writeFileSync(readme, replaceMarked(readFileSync(readme, 'utf8'), readmeBlock(result, base)));
}

function check(result: Comparison, earlier: Comparison): number {
  const changes = compareRatios(earlier, result);
  const rows = changes.map(({ case: name, label, before, now, change, lost }) => [
    name,
    label,
    `${before.toFixed(2)} x`,
    `${now.toFixed(2)} x`,
    `${change >= 0 ? '+' : ''}${(100 * change).toFixed(0)} %`,
    lost ? 'LOST' : '',
  ]);
  const header = ['', '', 'committed', 'now', 'change', ''];
  for (const line of table([header, ...rows], ['left', 'left', 'right', 'right', 'right'])) print(line);
  const lost = changes.filter((change) => change.lost).length;
  if (changes.length === 0) print('nothing to compare: the runs have no case and contender in common');
  else print(lost === 0 ? 'no loss above 15 %' : `${lost} of ${changes.length} ratios lost more than 15 %`);
  return changes.length === 0 || lost > 0 ? 1 : 0;
}

const [file, what, ...rest] = process.argv.slice(2);
const result = read(file!);
if (what === '--save') save(result, rest[0]!, rest[1]!);
else if (what === '--check') process.exitCode = check(result, read(rest[0]!));
else show(result);
