import { type WorkEvent, type WorkerOptions, workRuns } from '../bulk/worker';
import type { Device } from '../device';
import { EXIT } from './exit';
import { placeOf, type QueueFlags } from './jobs';
import { print, printJson, remark, seconds } from './output';

/** Flags of `jobs work`. */
export interface WorkFlags extends QueueFlags {
  once?: boolean;
  concurrency: number;
  models: number;
  /** Seconds. */
  lock: number;
  /** Seconds. */
  stalled: number;
  maxStalls: number;
  quiet?: boolean;
  device: Device;
  threads?: number;
  cudaGraph?: boolean;
}

/** Runs `jobs work`; resolves to the exit code. */
export async function work(flags: WorkFlags): Promise<number> {
  const { once = false, json = false, quiet = false, threads, cudaGraph } = flags;
  const started = performance.now();
  const options: WorkerOptions = {
    ...placeOf(flags),
    concurrency: flags.concurrency,
    models: flags.models,
    lockSeconds: flags.lock,
    stalledSeconds: flags.stalled,
    maxStalls: flags.maxStalls,
    device: flags.device,
    ...(threads !== undefined && { threads }),
    ...(cudaGraph !== undefined && { cudaGraph }),
    onEvent: (event) => say(event, json || quiet),
  };
  const summary = await untilSignal((signal) => workRuns({ ...options, once, signal }));
  const { done, skipped, dead } = summary;
  const total = (performance.now() - started) / 1000;
  if (json) printJson({ ...summary, seconds: total });
  else {
    const rest = [skipped > 0 ? `, ${skipped} skipped` : '', dead > 0 ? `, ${dead} given up` : ''].join('');
    print(`${done} image${done === 1 ? '' : 's'} in ${seconds(total)}${rest}`);
  }
  return once && dead > 0 ? EXIT.failed : EXIT.ok;
}

function say(event: WorkEvent, quiet: boolean): void {
  switch (event.type) {
    case 'done':
      if (!quiet) print(`${event.image} -> ${event.output}  ${seconds(event.milliseconds / 1000)}`);
      return;
    case 'skipped':
      if (!quiet) print(`${event.image} -> ${event.output}  there already`);
      return;
    case 'failed': {
      const next = event.dead ? 'given up' : 'to be tried again';
      remark(`error: ${event.image}: ${event.error} [${event.code}] (${next})`);
      return;
    }
    case 'redis':
      remark(
        event.state === 'lost'
          ? `warning: Redis at ${event.url} went away: waiting for it`
          : `Redis at ${event.url} is back`,
      );
      return;
    default:
      remark(`warning: ${event.message}`);
  }
}

/** Runs work with a signal that the first SIGINT or SIGTERM sets; a second one ends the process at once. */
async function untilSignal<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    remark('ending: what is computed now is finished first; once more ends at once');
    controller.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    return await run(controller.signal);
  } finally {
    process.removeListener('SIGINT', stop).removeListener('SIGTERM', stop);
  }
}
