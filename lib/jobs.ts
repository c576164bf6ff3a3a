import { AbortError, invalidArgument } from './errors';
import { native } from './native';

/** Options of everything that runs as a native job. */
export interface JobOptions {
  /** Cancels the job while it is queued; a job that already runs is left to end and its result is freed. */
  signal?: AbortSignal | undefined;
}

/**
 * Whether what a module runs on a GPU is captured in a CUDA graph, and how many of them it keeps at most (8): one for
 * each network and each set of input shapes, those used longest ago go first. Default false.
 */
export type CudaGraphOption = boolean | { readonly capacity?: number };

/** Options of a module's methods that compute. */
export interface GraphOptions extends JobOptions {
  /**
   * The first run of a set of input shapes is an ordinary one; the second captures, and all later ones replay, which
   * takes one launch in place of hundreds. Loading weights and moving the module drop its graphs. ERR_DEVICE on the
   * CPU, ERR_CUDA_GRAPH for what cannot be captured.
   */
  cudaGraph?: CudaGraphOption | undefined;
}

const GRAPHS = 8;

/** The graphs that an option asks to be kept; 0: none. Throws ERR_TYPE or ERR_RANGE. */
export function graphCapacity(option: unknown): number {
  if (option === undefined || option === false) return 0;
  if (option === true) return GRAPHS;
  if (typeof option !== 'object' || option === null) {
    throw invalidArgument('ERR_TYPE', 'cudaGraph', 'a boolean or { capacity }', option);
  }
  const { capacity = GRAPHS } = option as { capacity?: unknown };
  if (typeof capacity === 'number' && Number.isInteger(capacity) && capacity >= 1 && capacity <= 1024)
    return capacity;
  throw invalidArgument('ERR_RANGE', 'cudaGraph.capacity', 'an integer from 1 to 1024', capacity);
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
