import { type Command, InvalidArgumentError, Option } from 'commander';
import { FLOATING } from '../check';
import type { StatusFlags } from './jobs-status';
import type { SubmitFlags } from './jobs-submit';
import type { WorkFlags } from './jobs-work';
import { addGraphOption, addSeedOption, addWeightOptions } from './model-options';
import { addDeviceOption, addThreadsOption, integer, number } from './options';
import { addInferenceOptions } from './segment';

/** Flags that say where a queue is. */
export interface QueueFlags {
  redis?: string;
  queue?: string;
  json?: boolean;
}

// BullMQ and ioredis take a while to load: the other verbs do not pay for them.
const submit = () => require('./jobs-submit') as typeof import('./jobs-submit');
const work = () => require('./jobs-work') as typeof import('./jobs-work');
const status = () => require('./jobs-status') as typeof import('./jobs-status');

/** Adds the verb `jobs`: offline work on many images over Redis. */
export function addJobs(program: Command): void {
  const jobs = program
    .command('jobs')
    .description('Work on very many images, in as many processes and machines as there are, over Redis.')
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion jobs submit scans/ -o labels --task segment --format labels --name march
  $ freqfusion jobs work                       # as many as you like, on any machine that sees the files
  $ freqfusion jobs status march --watch
  $ freqfusion jobs dead march && freqfusion jobs retry march`,
    );
  addSubmit(jobs);
  addWork(jobs);
  addStatus(jobs);
}

function addSubmit(jobs: Command): void {
  const command = jobs
    .command('submit')
    .description('Put images into a queue, one job each; what is there already is not added again.')
    .argument('<images...>', 'image files, folders of images, and glob patterns')
    .requiredOption(
      '-o, --output <path>',
      'a file for one image, a folder for many (made where it is missing)',
    )
    .addOption(new Option('--task <task>', 'what to do').choices(['segment', 'detect']).default('segment'))
    .addOption(
      new Option(
        '--format <format>',
        'what to write (segment: overlay, labels, logits; detect: overlay, json, masks)',
      )
        .choices(['overlay', 'labels', 'logits', 'json', 'masks'])
        .default('overlay'),
    )
    .option('--name <run>', 'name of the run (default: the task and a digest of options and -o)')
    .option('--opacity <share>', 'how strongly an overlay covers the image, 0 to 1', number(0, 1))
    .option('--score <share>', 'detect: least score', number(0, 1))
    .option('--max <count>', 'detect: most detections of an image', integer(1))
    .option('--iou <share>', 'detect: overlap from which the better of two boxes stays', number(0, 1))
    .option('--max-pixels <count>', 'refuse larger images', integer(1))
    .option('--attempts <count>', 'tries of an image whose failure may pass', integer(1, 100), 4)
    .option(
      '--backoff <seconds>',
      'before the second try; each further one waits twice as long',
      number(0.001, 86_400),
      2,
    )
    .option('--continue-on-error', 'report images whose outputs would collide and submit the others')
    .option('--no-progress', 'show no progress bar')
    .addOption(
      new Option('--dtype <dtype>', 'element type to compute in (default: float32)').choices(FLOATING),
    );
  addInferenceOptions(addSeedOption(addWeightOptions(command, "the task's bundled model")));
  addQueueOptions(command).action(async (images: string[], flags: SubmitFlags) => {
    process.exitCode = await submit().submitImages(images, flags);
  });
}

function addWork(jobs: Command): void {
  const command = jobs
    .command('work')
    .description('Compute the jobs of a queue until Ctrl-C or SIGTERM: what is computed then ends first.')
    .option('--once', 'end when the queue is empty; exit with 1 if images were given up here')
    .option('--concurrency <count>', 'images on their way at once', integer(1, 1024), 2)
    .option('--models <count>', 'loaded models that are kept while no job needs them', integer(0, 1024), 2)
    .option('--lock <seconds>', 'after which a job of a worker that died is free', number(0.1, 86_400), 15)
    .option('--stalled <seconds>', 'between looks for such jobs', number(0.1, 86_400), 5)
    .option(
      '--max-stalls <count>',
      'workers that may die of a job before it is a dead letter',
      integer(0, 1000),
      3,
    )
    .option('--quiet', 'print no line for every image');
  addThreadsOption(addGraphOption(addDeviceOption(command)));
  addQueueOptions(command).action(async (flags: WorkFlags) => {
    process.exitCode = await work().work(flags);
  });
}

function addStatus(jobs: Command): void {
  const verb = (name: string, description: string) =>
    addQueueOptions(jobs.command(name).description(description));
  verb('status', 'How the runs of a queue stand.')
    .argument('[run]', 'one run, with its dead letters')
    .option('--watch', 'go on until nothing waits; exit with 1 if there are dead letters')
    .option('--interval <seconds>', 'between looks of --watch', number(0.05, 3600), 1)
    .action(async (run: string | undefined, flags: StatusFlags) => {
      process.exitCode = await status().showStatus(run, flags);
    });
  verb('dead', 'List the images that were given up, and why.')
    .argument('[run]', 'one run')
    .option('--limit <count>', 'at most so many', integer(1))
    .action(async (run: string | undefined, flags: StatusFlags) => {
      process.exitCode = await status().showDead(run, flags);
    });
  verb('retry', 'Put the images that were given up back into the queue.')
    .argument('[run]', 'one run')
    .action(async (run: string | undefined, flags: QueueFlags) => {
      process.exitCode = await status().retry(run, flags);
    });
  verb('cancel', 'Take the jobs of a run that wait, and its dead letters, out of the queue.')
    .argument('<run>', 'the run')
    .action(async (run: string, flags: QueueFlags) => {
      process.exitCode = await status().cancel(run, flags);
    });
}

function addQueueOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--redis <url>', 'redis:// or rediss:// (default: redis://127.0.0.1:6379)').env(
        'FREQFUSION_REDIS',
      ),
    )
    .option('--queue <name>', 'name of the queue (default: images)', queueName)
    .option('--json', 'print the result as JSON');
}

function queueName(value: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(value)) return value;
  throw new InvalidArgumentError('Expected up to 100 letters, digits, dots, dashes, underscores.');
}

/** Where a queue is, as the library takes it. */
export function placeOf({ redis, queue }: QueueFlags): { redis?: string; queue?: string } {
  return { ...(redis !== undefined && { redis }), ...(queue !== undefined && { queue }) };
}
