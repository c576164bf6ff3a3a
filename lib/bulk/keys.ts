import { checkName } from './run-options';

/** What all keys begin with; the braces keep them in one slot of a Redis cluster. */
export const PREFIX = '{freqfusion}';

/** The queue if nothing else is said. */
export const DEFAULT_QUEUE = 'images';

/** Names of BullMQ's own keys of a queue, as far as runs are counted by them. */
export interface QueueKeys {
  readonly wait: string;
  readonly active: string;
  readonly delayed: string;
  readonly failed: string;
  /** The hash of a job. */
  job(id: string): string;
  /** Runs of the queue, by the time of their first submission. */
  readonly runs: string;
}

/** Names of the keys of one run. */
export interface RunKeys {
  /** Its options, as JSON, and when it was submitted. */
  readonly record: string;
  /** Ids of all its jobs. Sets, not counters: what is told twice counts once. */
  readonly ids: string;
  /** Ids of the jobs whose output is there. */
  readonly done: string;
  /** When the last jobs were done, in milliseconds, the latest first. */
  readonly times: string;
}

/** Names of the keys of a queue. Throws ERR_OPTION_VALUE for a name that is none. */
export function queueKeys(queue: string): QueueKeys {
  const base = `${PREFIX}:${checkName(queue, 'queue')}`;
  return {
    wait: `${base}:wait`,
    active: `${base}:active`,
    delayed: `${base}:delayed`,
    failed: `${base}:failed`,
    job: (id) => `${base}:${id}`,
    runs: `${PREFIX}.runs:${queue}`,
  };
}

/** Names of the keys of a run. Throws ERR_OPTION_VALUE for a name that is none. */
export function runKeys(queue: string, run: string): RunKeys {
  const base = `${PREFIX}.run:${checkName(queue, 'queue')}:${checkName(run, 'run')}`;
  return { record: base, ids: `${base}:ids`, done: `${base}:done`, times: `${base}:times` };
}
