import {
  ArgumentError,
  CheckpointError,
  FreqFusionError,
  ImageError,
  JobsError,
  LoadError,
  StateDictError,
} from '../errors';

/** What is to be done with a job that failed. */
export type FailureKind =
  /** Another try may go well: memory, disk, network. */
  | 'transient'
  /** No try will: the image, the checkpoint or an option is wrong. */
  | 'input'
  /** It is this worker that cannot go on; the job is given back, whole. */
  | 'worker';

/** Errors of the system that pass. */
const PASSING = new Set([
  ...['EAGAIN', 'EBUSY', 'ECONNABORTED', 'ECONNRESET', 'EDQUOT', 'EHOSTDOWN', 'EHOSTUNREACH', 'EINTR'],
  ...['EIO', 'EMFILE', 'ENETDOWN', 'ENETUNREACH', 'ENFILE', 'ENOBUFS', 'ENOLCK', 'ENOMEM', 'ENOSPC'],
  ...['ENOTCONN', 'EREMOTEIO', 'ESTALE', 'ETIMEDOUT', 'ETXTBSY'],
]);

/** Sorts an error: whether to try again, to give the image up, or to end the worker. */
export function kindOf(error: unknown): FailureKind {
  if (error instanceof LoadError) return 'worker';
  if (!(error instanceof FreqFusionError)) return 'transient';
  const { code, message } = error;
  if (code === 'ERR_CUDA_DEVICE_LOST') return 'worker';
  const system = systemCode(error);
  if (/_WRITE$/.test(code) || (system !== undefined && PASSING.has(system))) return 'transient';
  if (/out of memory/i.test(message)) return 'transient';
  const input =
    error instanceof ImageError ||
    error instanceof CheckpointError ||
    error instanceof StateDictError ||
    error instanceof ArgumentError ||
    error instanceof JobsError ||
    /^ERR_(MODEL_|NOT_SUPPORTED|FILE)/.test(code);
  return input ? 'input' : 'transient';
}

/** The system's own code (ENOSPC) of an error, or of one underneath. */
export function systemCode(error: unknown): string | undefined {
  for (let each = error as NodeJS.ErrnoException | undefined; each instanceof Error; ) {
    if (typeof each.code === 'string' && /^E[A-Z0-9]+$/.test(each.code)) return each.code;
    each = each.cause as NodeJS.ErrnoException | undefined;
  }
  return undefined;
}

/** An error as one line with its code in brackets, which is how a dead letter keeps it. */
export function failureLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replace(/\s*\n\s*/g, ' ').trim();
  const code = error instanceof FreqFusionError ? error.code : (systemCode(error) ?? 'ERR_INTERNAL');
  return `${line} [${code}]`;
}

/** Takes the line of a dead letter apart again. What BullMQ itself gave up stalled too often. */
export function readFailure(line: string): { code: string; error: string } {
  const match = /^(.*) \[(E[A-Z0-9_]+)\]$/s.exec(line);
  if (match !== null) return { code: match[2]!, error: match[1]! };
  if (/stalled/.test(line)) {
    return { code: 'ERR_JOBS_STALLED', error: 'every worker that took it ended before the image was done' };
  }
  return { code: 'ERR_INTERNAL', error: line };
}
