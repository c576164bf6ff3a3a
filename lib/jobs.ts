import { AbortError, invalidArgument } from './errors';
import { native } from './native';

/** Options of everything that runs as a native job. */
export interface JobOptions {
  /** Cancels the job while it is queued; a job that already runs is left to end and its result is freed. */
  signal?: AbortSignal | undefined;
}

let lastJob = 0;

/**
 * Runs one native job under an AbortSignal. Rejects with AbortError (ERR_ABORTED, the signal's reason as `cause`).
 * `free` disposes of a result that arrives after the caller has gone.
 */
export async function runJob<T>(
  signal: AbortSignal | undefined,
  start: (job: number) => Promise<T>,
  free?: (result: T) => void,
): Promise<T> {
  checkSignal(signal);
  lastJob = (lastJob % 0xffff_ffff) + 1;
  const job = lastJob;
  if (signal === undefined) return start(job);
  if (signal.aborted) throw aborted(signal);
  const running = start(job);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      native().cancelJob(job);
      reject(aborted(signal));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    running.then(
      (result) => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) free?.(result);
        resolve(result);
      },
      (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}

function aborted(signal: AbortSignal): AbortError {
  return new AbortError('ERR_ABORTED', 'the job was cancelled by its signal', { cause: signal.reason });
}

function checkSignal(signal: unknown): void {
  if (signal === undefined) return;
  if (typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal)
    return;
  throw invalidArgument('ERR_TYPE', 'signal', 'an AbortSignal', signal);
}
