import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { describeEnvironment, environment } from '../bench/environment';
import { gpuReport } from '../bench/gpu';
import { describeGpuReport, gpuCells, gpuMarkdown, plotGpuReport } from '../bench/gpu-report';
import type { Measured } from '../bench/measure';
import { benchFirstPage, benchModels, gpuModels } from '../bench/models';
import { benchModules, benchThreads, gpuModules, MODULE_CASES, type ModuleCase } from '../bench/modules';
import { benchOperators, gpuOperators, type MapSize } from '../bench/operators';
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
import { FLOATING } from '../check';
import { type Device, memoryStats, setThreads } from '../device';
import type { DType } from '../dtype';
import { native } from '../native';
import { CliError, EXIT } from './exit';
import { integer, parseDevice, parseSize } from './options';
import { print, printJson, remark, table } from './output';

const TARGETS = ['ops', 'module', 'model', 'scaling'] as const;
type Target = (typeof TARGETS)[number];

interface BenchFlags {
  device: Device;
  dtype?: DType[];
  threads?: number;
  shape: string[];
  runs?: number;
  json?: boolean;
  markdown?: boolean;
  plot?: string;
}

/** Low-resolution maps that GPUs are measured with: those of networks, and FreqFusion's own few channels. */
const GPU_SIZES: readonly MapSize[] = [
  [64, 128],
  [128, 128],
  [256, 64],
  [256, 128],
  [256, 256],
  [64, 512],
  [9, 256],
  [25, 256],
].map(([channels, side]) => ({ channels: channels!, height: side!, width: side! }));

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
        .choices(FLOATING)
        .default(undefined, 'float32; on a GPU float32, float16 and bfloat16'),
    )
    .option('--threads <count>', 'CPU threads of one job (default: one per core)', integer(1, 1024))
    .option(
      '--shape <shape...>',
      'ops: small, large or CxHxW of the low-resolution map; module: A, B, C, D, small or CxHxW of hr; model: HxW',
      (value: string, before: string[]) => [...before, value],
      [],
    )
    .option('--runs <count>', 'timed runs of each (default: 15; on a GPU 20)', integer(1, 10_000))
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

On a GPU times lie between two CUDA events, after five runs that do not count, and 256 MB are written before each so
that inputs come from memory; "of copy" is the share of the bandwidth of a copy on the device, measured in the same run,
"extra memory" the most that tensors took beside inputs and weights. "graph" runs are captured in a CUDA graph.

Examples:
  $ freqfusion bench
  $ freqfusion bench ops --shape 128x256x256 --dtype float32 bfloat16
  $ freqfusion bench module --shape C D --markdown --plot freqfusion.svg
  $ freqfusion bench scaling --runs 5
  $ freqfusion bench --device cuda --dtype float16 --json`,
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
  const plan = planOf(target, flags);
  native();
  if (flags.threads !== undefined) setThreads(flags.threads);
  if (flags.device !== 'cpu') return benchGpu(plan, flags.device, flags);
  const report = await run(plan, flags);
  if (flags.plot !== undefined) writePlot(flags.plot, plotReport(report));
  if (flags.json === true) printJson(report);
  else if (flags.markdown === true) print(markdownReport(report).trimEnd());
  else printReport(report);
  return EXIT.ok;
}

/** The same plan on a GPU. Ends with 1 where something could not be measured. */
async function benchGpu(plan: Plan, device: Exclude<Device, 'cpu'>, flags: BenchFlags): Promise<number> {
  const { dtype: dtypes = ['float32', 'float16', 'bfloat16'], runs = 20, json } = flags;
  memoryStats(device); // ERR_DEVICE where there is none of that name
  const report = await gpuReport(
    [
      ...(plan.operators ?? []).flatMap((size) => gpuOperators(size, { dtypes, device })),
      ...(plan.modules ?? []).flatMap((each) => gpuModules(each, { dtypes, device })),
      ...(plan.model === undefined ? [] : gpuModels(plan.model, dtypes, device)),
    ],
    { device, runs, onProgress: progress(json) },
  );
  if (flags.plot !== undefined) writePlot(flags.plot, plotGpuReport(report));
  if (json === true) printJson(report);
  else if (flags.markdown === true) print(gpuMarkdown(report).trimEnd());
  else {
    const { head, notes } = describeGpuReport(report);
    for (const line of head) print(line);
    print();
    const align = ['left', 'left', ...new Array<'right'>(6).fill('right')] as const;
    for (const line of table(gpuCells(report.rows), align)) print(line);
    for (const line of notes) print(line);
  }
  return report.rows.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.ok;
}

/** Says what is being measured, where a person looks on. */
function progress(json: boolean | undefined): (name: string) => void {
  return (name) => {
    if (json !== true && process.stderr.isTTY) remark(`measuring ${name}`);
  };
}

/** What to run, with its sizes. */
interface Plan {
  operators?: MapSize[];
  modules?: ModuleCase[];
  model?: [height: number, width: number];
  scaling?: true;
}

function planOf(target: Target | undefined, { shape: shapes, device }: BenchFlags): Plan {
  const operators = () => {
    if (shapes.length > 0) return shapes.map(operatorSize);
    return device === 'cpu' ? [operatorSize('large')] : [...GPU_SIZES];
  };
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
      if (device !== 'cpu') throw new CliError(`bench scaling measures the CPU, got --device ${device}`);
      if (shapes.length > 0) throw new CliError('bench scaling has sizes of its own: leave --shape out');
      return { scaling: true };
    case undefined:
      return { operators: operators(), modules: modules(), model: model() };
  }
}

async function run(
  plan: Plan,
  { dtype: dtypes = ['float32'], device, runs = 15, json }: BenchFlags,
): Promise<BenchReport> {
  const roofs = new RoofMeter();
  const onProgress = progress(json);
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

function writePlot(file: string, svg: string): void {
  try {
    writeFileSync(file, svg);
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
