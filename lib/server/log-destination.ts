import { writeSync } from 'node:fs';

/** Bytes that are kept for a reader of the log who is behind; past it lines are lost. */
const KEPT = 1 << 20;
/** Milliseconds until a reader who is behind is tried again. */
const AGAIN = 20;

/**
 * Where pino writes to: a file descriptor, that of standard output by default. pino's own destination ends the process
 * when the log cannot be written, or waits for ever: with a full disk a service would be gone for its log's sake. This
 * one loses lines instead, says so on standard error once, and in the log as soon as it can be written again.
 */
export function logDestination(fd = 1, complain: (message: string) => void = toStandardError) {
  let pending = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  let lost = 0;

  /** Writes what is pending, as far as it goes. */
  function flush(): void {
    try {
      while (pending.length > 0) pending = pending.subarray(writeSync(fd, pending));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN' && pending.length <= KEPT) {
        timer ??= setTimeout(() => {
          timer = undefined;
          flush();
        }, AGAIN).unref();
        return;
      }
      if (lost === 0) complain(`the log cannot be written (${code}): lines are lost until it can`);
      lost += 1;
      pending = Buffer.alloc(0);
    }
  }

  return {
    write(line: string): void {
      if (lost > 0) {
        const note = {
          level: 40,
          time: Date.now(),
          lost,
          msg: 'writes to the log failed, and their lines are lost',
        };
        pending = Buffer.concat([pending, Buffer.from(`${JSON.stringify(note)}\n`)]);
      }
      pending = Buffer.concat([pending, Buffer.from(line)]);
      const before = lost;
      flush();
      if (lost === before && timer === undefined) lost = 0;
    },
  };
}

function toStandardError(message: string): void {
  try {
    writeSync(2, `${message}\n`);
  } catch {
    // Then nobody can be told.
  }
}
