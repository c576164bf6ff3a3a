import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { describeEnvironment, environment } from '../bench/environment';
import type { Measured } from '../bench/measure';
import { benchFirstPage, benchModels } from '../bench/models';
import { benchModules, benchThreads, MODULE_CASES, type ModuleCase } from '../bench/modules';
import { benchOperators, type MapSize } from '../bench/operators';
import { plotReport } from '../bench/plot';
import {
  type BenchReport,
  cells,
  describeRest,
  describeRoofs,
  makeRow,
  markdownReport,
} from '../bench/report';
import { RoofMeter } from '../bench/roofs';
import { benchScaling } from '../bench/scaling';
import { setThreads } from '../device';
import type { DType } from '../dtype';
import { native } from '../native';
import { CliError, EXIT } from './exit';
import { COMPUTE_DTYPES, integer, parseDevice, parseSize } from './options';
import { print, printJson, remark, table } from './output';

const TARGETS = ['ops', 'module', 'model', 'scaling'] as const;
type Target = (typeof TARGETS)[number];

interface BenchFlags {
  device: 'cpu' | 'cuda' | `cuda:${number}`;
  dtype: DType[];
  threads?: number;
  shape: string[];
  runs: number;
  json?: boolean;
  markdown?: boolean;
  plot?: string;
}

const OPERATOR_SIZES: Readonly<Record<string, MapSize>> = {
  small: { channels: 16, height: 32, width: 32 },
  large: { channels: 128, height: 256, width: 256 },
};

/** Adds the verb `bench`. */
export function addBench(program: Command): void {
  program
    .command('bench')
    .description('Measure how fast the operators, FreqFusion and whole models are on this machine.')
    .argument('[target]', `one of ${TARGETS.join(', ')} (default: ops, module and model)`, parseTarget)
    .addOption(new Option('--device <device>', 'where to compute').default('cpu').argParser(parseDevice))
    .addOption(
      new Option('--dtype <dtype...>', 'element types, measured side by side')
        .choices(COMPUTE_DTYPES)
        .default(['float32']),
    )
    .option('--threads <count>', 'CPU threads of one job (default: one per core)', integer(1, 1024))
    .option(
      '--shape <shape...>',
      'ops: small, large or CxHxW of the low-resolution map; module: A, B, C, D, small or CxHxW of hr; model: HxW',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option('--runs <count>', 'timed runs of each', integer(1, 10_000), 15)
    .option('--json', 'print the results as JSON')
    .option('--markdown', 'print the results as Markdown')
    .option('--plot <file>', 'write the results as a picture (.svg)', parseSvg)
    .addHelpText(
      'after',
      `
Times are medians of interleaved runs after two that do not count; a promise adds about 0.05 ms to the job's own time.
Memory is reused from run to run. "of roof" is the share of what the machine could do, measured in the same run: the
greater of operations / FMA peak and bytes / copy bandwidth. "scaling" grows FreqFusion from 64 x 64 to 4096 x 4096
pixels, as far as memory goes, and compares one thread with all.

Examples:
  $ freqfusion bench
  $ freqfusion bench ops --shape 128x256x256 --dtype float32 bfloat16
  $ freqfusion bench module --shape C D --markdown --plot freqfusion.svg
  $ freqfusion bench scaling --runs 5`,
    )
    .action(async (target: Target | undefined, flags: BenchFlags) => {
      process.exitCode = await bench(target, flags);
    });
}

async function bench(target: Target | undefined, flags: BenchFlags): Promise<number> {
  if (target === undefined && flags.shape.length > 0) {
    throw new CliError('--shape needs a target: freqfusion bench ops|module|model --shape ...');
  }
  if (flags.json === true && flags.markdown === true)
    throw new CliError('--json and --markdown exclude each other');
  const plan = planOf(target, flags.shape);
  if (flags.device !== 'cpu')
    throw new CliError(`bench measures the CPU alone, got --device ${flags.device}`);
  native();
  if (flags.threads !== undefined) setThreads(flags.threads);
  const report = await run(plan, flags);
  if (flags.plot !== undefined) writePlot(flags.plot, report);
  if (flags.json === true) printJson(report);
  else if (flags.markdown === true) print(markdownReport(report).trimEnd());
  else printReport(report);
  return EXIT.ok;
}

/** What to run, with its sizes. */
interface Plan {
  operators?: MapSize[];
  modules?: ModuleCase[];
  model?: [height: number, width: number];
  scaling?: true;
}

function planOf(target: Target | undefined, shapes: readonly string[]): Plan {
  const operators = () => (shapes.length > 0 ? shapes : ['large']).map(operatorSize);
  const modules = () => (shapes.length > 0 ? shapes : ['A', 'B', 'C', 'D']).map(moduleCase);
  const model = () => modelSize(shapes);
  switch (target) {
    case 'ops':
      return { operators: operators() };
    case 'module':
      return { modules: modules() };
    case 'model':
      return { model: model() };
    case 'scaling':
      if (shapes.length > 0) throw new CliError('bench scaling has sizes of its own: leave --shape out');
      return { scaling: true };
    case undefined:
      return { operators: operators(), modules: modules(), model: model() };
  }
}

async function run(plan: Plan, { dtype: dtypes, device, runs, json }: BenchFlags): Promise<BenchReport> {
  const roofs = new RoofMeter();
  const onProgress = (name: string) => {
    if (json !== true && process.stderr.isTTY) remark(`measuring ${name}`);
  };
  const before = environment();
  await roofs.sample();
  const measured: Measured[] = [];
  const common = { runs, roofs, device, onProgress };
  for (const size of plan.operators ?? [])
    measured.push(...(await benchOperators({ ...common, size, dtypes })));
  if (plan.modules !== undefined) measured.push(...(await benchModules(plan.modules, { ...common, dtypes })));
  const rest: Pick<BenchReport, 'threads' | 'scaling' | 'firstPage'> = {};
  if (plan.model !== undefined) {
    for (const dtype of dtypes) measured.push(...(await benchModels({ ...common, dtype, size: plan.model })));
    onProgress('the first page of a new process');
    rest.firstPage = await benchFirstPage(Math.min(runs, 5));
  }
  if (plan.scaling) {
    rest.scaling = await benchScaling(common);
    rest.threads = await benchThreads(MODULE_CASES.C!, common);
  }
  return {
    environment: before,
    roofs: roofs.roofs,
    rows: measured.map((each) => makeRow(each, roofs.roofs)),
    ...rest,
  };
}

function printReport(report: BenchReport): void {
  for (const line of describeEnvironment(report.environment)) print(line);
  print(describeRoofs(report.roofs));
  if (report.rows.length > 0) {
    print();
    const align = ['left', 'left', ...new Array<'right'>(8).fill('right')] as const;
    for (const line of table(cells(report.rows), align)) print(line);
  }
  const rest = describeRest(report);
  if (rest.length > 0) print();
  for (const line of rest) print(line);
}

function writePlot(file: string, report: BenchReport): void {
  try {
    writeFileSync(file, plotReport(report));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(`the plot ${file} cannot be written (${code})`, EXIT.output, error);
  }
}

function parseTarget(value: string): Target {
  if ((TARGETS as readonly string[]).includes(value)) return value as Target;
  throw new InvalidArgumentError(`Expected one of ${TARGETS.join(', ')}.`);
}

function parseSvg(value: string): string {
  if (value.toLowerCase().endsWith('.svg')) return value;
  throw new InvalidArgumentError('Expected a name ending in .svg.');
}

function parseMap(shape: string): MapSize | undefined {
  const match = /^(\d{1,4})x(\d{1,5})x(\d{1,5})$/.exec(shape);
  if (match === null) return undefined;
  const [channels, height, width] = match.slice(1).map(Number) as [number, number, number];
  return channels > 0 && height > 0 && width > 0 ? { channels, height, width } : undefined;
}

function operatorSize(shape: string): MapSize {
  const size = OPERATOR_SIZES[shape] ?? parseMap(shape);
  // offset_sampler has four groups of channels.
  if (size !== undefined && size.channels % 4 === 0) return size;
  throw new CliError(
    `expected small, large or CxHxW with C a multiple of 4 for --shape of bench ops, got ${shape}`,
  );
}

function moduleCase(shape: string): ModuleCase {
  const known = Object.hasOwn(MODULE_CASES, shape) ? MODULE_CASES[shape] : undefined;
  if (known !== undefined) return known;
  const size = parseMap(shape);
  if (size === undefined || size.channels % 4 !== 0 || size.height % 2 !== 0 || size.width % 2 !== 0) {
    throw new CliError(
      `expected ${Object.keys(MODULE_CASES).join(', ')} or CxHxW with C a multiple of 4 and even sides for --shape of bench module, got ${shape}`,
    );
  }
  const { channels, height, width } = size;
  return {
    name: '',
    size: [height, width],
    options: { hrChannels: channels, lrChannels: channels, featureResample: true },
  };
}

function modelSize(shapes: readonly string[]): [height: number, width: number] {
  if (shapes.length > 1) throw new CliError('bench model takes one --shape');
  try {
    return parseSize(shapes[0] ?? '512');
  } catch (error) {
    throw new CliError(`expected HxW for --shape of bench model, got ${shapes[0]}`, EXIT.usage, error);
  }
}
