import { cancelRun, retryDead } from '../bulk/dead';
import { DEFAULT_QUEUE } from '../bulk/keys';
import { DEFAULT_REDIS, withRedis } from '../bulk/redis';
import { type DeadLetter, deadLetters, type RunStatus, readDeadLetters, readStatus } from '../bulk/status';
import { EXIT } from './exit';
import { interruptible } from './interrupt';
import { placeOf, type QueueFlags } from './jobs';
import { percent, print, printJson, progressBar, seconds, table } from './output';

/** Flags of `jobs status` and `jobs dead`. */
export interface StatusFlags extends QueueFlags {
  watch?: boolean;
  /** Seconds. */
  interval: number;
  limit?: number;
}

/** Dead letters that the status of one run names. */
const SHOWN = 20;

/** Runs `jobs status`; resolves to the exit code. */
export async function showStatus(run: string | undefined, flags: StatusFlags): Promise<number> {
  const { redis: url = DEFAULT_REDIS, queue = DEFAULT_QUEUE } = flags;
  return withRedis(url, async (redis) => {
    const read = () => readStatus(redis, queue, run);
    const runs =
      flags.watch === true ? await interruptible((signal) => watch(read, flags, signal)) : await read();
    const limit = flags.json === true ? Number.MAX_SAFE_INTEGER : SHOWN;
    const dead = runs.some((each) => each.dead > 0) ? await readDeadLetters(redis, queue, run, limit) : [];
    if (flags.json === true) {
      printJson({
        queue,
        runs: runs.map((each) => ({
          ...each,
          deadLetters: dead.filter((letter) => letter.run === each.run),
        })),
      });
    } else show(queue, runs, run === undefined ? [] : dead);
    return flags.watch === true && runs.some((each) => each.dead > 0) ? EXIT.failed : EXIT.ok;
  });
}

/** Runs `jobs dead`; resolves to the exit code. */
export async function showDead(run: string | undefined, flags: StatusFlags): Promise<number> {
  const letters = await deadLetters({
    ...placeOf(flags),
    ...(run !== undefined && { run }),
    ...(flags.limit !== undefined && { limit: flags.limit }),
  });
  if (flags.json === true) printJson({ deadLetters: letters });
  else if (letters.length === 0) print('no image was given up');
  for (const letter of flags.json === true ? [] : letters) print(lineOf(letter));
  return EXIT.ok;
}

/** Runs `jobs retry`; resolves to the exit code. */
export async function retry(run: string | undefined, flags: QueueFlags): Promise<number> {
  const retried = await retryDead({ ...placeOf(flags), ...(run !== undefined && { run }) });
  if (flags.json === true) printJson({ retried });
  else print(`${retried} image${retried === 1 ? '' : 's'} put back`);
  return EXIT.ok;
}

/** Runs `jobs cancel`; resolves to the exit code. */
export async function cancel(run: string, flags: QueueFlags): Promise<number> {
  const cancelled = await cancelRun({ ...placeOf(flags), run });
  if (flags.json === true) printJson({ run, cancelled });
  else print(`${cancelled} image${cancelled === 1 ? '' : 's'} taken out`);
  return EXIT.ok;
}

/** Looks until nothing waits, or Ctrl-C; a bar on a terminal, elsewhere a line whenever something has changed. */
async function watch(
  read: () => Promise<RunStatus[]>,
  { interval, json }: StatusFlags,
  signal: AbortSignal,
): Promise<RunStatus[]> {
  let bar: ReturnType<typeof progressBar> | undefined;
  let total = 0;
  let said = '';
  try {
    for (;;) {
      const runs = await read();
      const sum = (key: 'total' | 'done' | 'dead' | 'active' | 'delayed' | 'waiting') =>
        runs.reduce((all, each) => all + each[key], 0);
      if (sum('total') !== total) {
        bar?.stop();
        total = sum('total');
        bar = progressBar(total, { unit: 'images' });
      }
      const dead = sum('dead');
      bar?.update(sum('done') + dead, dead > 0 ? `${dead} given up` : '');
      const line = `${sum('done')} of ${total} done, ${sum('active')} active, ${dead} given up`;
      if (json !== true && !process.stderr.isTTY && line !== said) print(line);
      said = line;
      if (sum('waiting') + sum('active') + sum('delayed') === 0 || signal.aborted) return runs;
      await new Promise((resolve) => setTimeout(resolve, interval * 1000));
    }
  } finally {
    bar?.stop();
  }
}

function show(queue: string, runs: readonly RunStatus[], dead: readonly DeadLetter[]): void {
  if (runs.length === 0) {
    print(`the queue ${queue} has no runs`);
    return;
  }
  const head = [
    'run',
    'task',
    'images',
    'waiting',
    'active',
    'delayed',
    'done',
    'given up',
    '',
    'rate',
    'left',
  ];
  const rows = runs.map((each) => [
    each.run,
    each.task,
    ...[each.total, each.waiting, each.active, each.delayed, each.done, each.dead].map(String),
    percent(each.total === 0 ? 0 : each.done / each.total),
    each.secondsLeft === 0 || each.rate === 0 ? '' : `${each.rate.toPrecision(3)}/s`,
    each.secondsLeft === null || each.secondsLeft === 0 ? '' : seconds(each.secondsLeft),
  ]);
  const align = ['left', 'left', ...head.slice(2).map(() => 'right' as const)] as const;
  for (const line of table([head, ...rows], align)) print(line);
  for (const letter of dead) print(`  ${lineOf(letter)}`);
  const total = runs.reduce((all, each) => all + each.dead, 0);
  if (dead.length > 0 && total > dead.length)
    print(`  and ${total - dead.length} more: freqfusion jobs dead`);
}

function lineOf({ image, code, error, attempts }: DeadLetter): string {
  const tries = attempts === 1 ? 'one try' : `${attempts} tries`;
  return `${image}: ${error} [${code}] (${tries})`;
}
