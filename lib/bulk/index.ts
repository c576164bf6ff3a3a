/**
 * Offline work on many images over Redis: {@link submitRun} puts them into a queue, {@link workRuns} (or a
 * {@link BulkWorker}) computes them in as many processes and machines as there are, {@link runStatus} says how they
 * stand. What is guaranteed and what is not is in docs/jobs.md.
 */
export type { ImageJob } from './compute';
export { cancelRun, retryDead } from './dead';
export { DEFAULT_QUEUE } from './keys';
export { DEFAULT_REDIS, redactUrl } from './redis';
export type { DetectRun, RunModel, RunOptions, SegmentRun } from './run-options';
export { type DeadLetter, deadLetters, type RunStatus, runStatus } from './status';
export { type QueuePlace, type Submission, type Submitted, submitRun } from './submit';
export { BulkWorker, type WorkEvent, type WorkerOptions, type WorkSummary, workRuns } from './worker';
