#!/usr/bin/env node
import { CommanderError } from 'commander';
import { EXIT, errorLine, exitCodeOf } from './exit';
import { remark } from './output';
import { makeProgram } from './program';

// A reader that has seen enough (head, less) closes the pipe: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok);
  throw error;
});

async function main(): Promise<void> {
  try {
    await makeProgram().parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    process.exitCode = exitCodeOf(error);
    remark(`error: ${errorLine(error)}`);
    if (process.env.FREQFUSION_DEBUG !== undefined) console.error(error);
  }
}

void main();
