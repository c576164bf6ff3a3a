import type { Command } from 'commander';
import { Checkpoint } from '../checkpoint/checkpoint';
import type { CheckpointSummary } from '../checkpoint/inspect';
import type { StateDictEntry } from '../checkpoint/state-dict';
import { nearestName } from '../modules/nearest-name';
import { addSelectionOptions, type SelectionFlags, selectionOf } from './checkpoint-options';
import { CliError, EXIT } from './exit';
import { bytes, print, printJson, table } from './output';
import { statisticsOf, type TensorStatistics } from './statistics';

interface InspectFlags extends SelectionFlags {
  tensor?: string;
  json?: boolean;
}

/** Adds the verb `inspect`. */
export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('Show what a checkpoint file holds. Nothing in the file is executed.')
    .argument('<file>', 'a .pth, .pt, .pkl or .safetensors file')
    .option('--tensor <name>', 'print statistics of one tensor')
    .option('--json', 'print as JSON');
  addSelectionOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion inspect model.pth
  $ freqfusion inspect model.pth --prefix backbone.
  $ freqfusion inspect model.pth --tensor decode_head.conv_seg.weight`,
    )
    .action(inspect);
}

async function inspect(file: string, flags: InspectFlags): Promise<void> {
  const checkpoint = await Checkpoint.open(file);
  try {
    const selection = selectionOf(flags);
    const chosen = Object.keys(selection).length > 0;
    if (flags.tensor !== undefined) {
      const dict = checkpoint.stateDict(chosen ? selection : { raw: true });
      const entry = dict.get(flags.tensor);
      if (entry === undefined) throw unknownTensor(flags.tensor, dict.names());
      showTensor(entry, statisticsOf(entry), flags.json === true);
      return;
    }
    const summary = checkpoint.inspect();
    const entries = chosen ? [...checkpoint.stateDict(selection)] : summary.tensors;
    const tensors = entries.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape] }));
    if (flags.json === true) printJson(plain(chosen ? { ...summary, tensors } : summary));
    else show(summary, tensors);
  } finally {
    checkpoint.close();
  }
}

function unknownTensor(name: string, names: readonly string[]): CliError {
  const near = nearestName(name, names);
  const hint = near === undefined ? '"freqfusion inspect" lists them' : `the nearest is ${near}`;
  return new CliError(`the file has no tensor ${name} (${hint})`, EXIT.input);
}

function showTensor(entry: StateDictEntry, statistics: TensorStatistics, json: boolean): void {
  const { name, dtype, shape } = entry;
  if (json) {
    printJson({ name, dtype, shape, ...statistics });
    return;
  }
  const rows = [
    ['name', name],
    ['dtype', dtype],
    ['shape', words(shape)],
    ['elements', String(statistics.elements)],
    ['min', figure(statistics.min)],
    ['max', figure(statistics.max)],
    ['mean', figure(statistics.mean)],
    ['std', figure(statistics.std)],
    ['zeros', String(statistics.zeros)],
    ['not finite', String(statistics.notFinite)],
    ['first', statistics.first.map(figure).join(', ')],
  ];
  for (const line of table(rows)) print(line);
}

function figure(value: number | null): string {
  return value === null ? '-' : String(Number(value.toPrecision(7)));
}

interface Line {
  name: string;
  dtype: string;
  shape: number[];
}

function show(summary: CheckpointSummary, tensors: readonly Line[]): void {
  const { path, format, size, stateDictAt, candidates, elements, shared, ignored, opaqueClasses, metadata } =
    summary;
  const place =
    stateDictAt === null
      ? 'several, choose with --at'
      : stateDictAt.length === 0
        ? 'top level'
        : stateDictAt.join('.');
  const rows = [
    ['file', path],
    ['format', `${format}, ${bytes(size)}`],
    ['state dict', place],
    ...(candidates.length === 0 ? [] : [['others', candidates.map((keys) => keys.join('.')).join(', ')]]),
    ['tensors', `${tensors.length} shown, ${elements} elements in all`],
    ...(shared.length === 0 ? [] : [['shared', shared.map((names) => names.join(' = ')).join('; ')]]),
    ...(ignored.length === 0 ? [] : [['no tensors', ignored.join(', ')]]),
    ...(opaqueClasses.length === 0 ? [] : [['never built', opaqueClasses.join(', ')]]),
  ];
  for (const line of table(rows)) print(line);
  print();
  for (const line of table(tensors.map(({ name, dtype, shape }) => [name, dtype, words(shape)]))) print(line);
  const entries = describeMetadata(metadata);
  if (entries.length === 0) return;
  print();
  print('metadata');
  for (const line of table(entries.map(([key, value]) => [`  ${key}`, value]))) print(line);
}

/** Members of metadata in a line each, those of objects under their own names, down to two levels. */
function describeMetadata(metadata: object, prefix = '', depth = 2): [name: string, value: string][] {
  return Object.entries(metadata).flatMap(([key, value]): [string, string][] => {
    const isPlain =
      typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    if (isPlain && depth > 1 && Object.keys(value).length > 0)
      return describeMetadata(value, `${prefix}${key}.`, depth - 1);
    return [[prefix + key, brief(value)]];
  });
}

function words(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

function brief(value: unknown): string {
  const text = JSON.stringify(plain(value)) ?? '-';
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

/** Metadata as JSON can hold it: maps and sets as arrays, bytes by their number, bigints as texts. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return [...value].map(([key, item]) => [plain(key), plain(item)]);
  if (value instanceof Set) return [...value].map(plain);
  if (value instanceof Uint8Array) return { bytes: value.length };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
