import { Command } from 'commander';
import { addBench } from './bench';
import { addConvert } from './convert';
import { addDetect } from './detect';
import { addEval } from './eval';
import { EXIT } from './exit';
import { addInfo } from './info';
import { addInspect } from './inspect';
import { addJobs } from './jobs';
import { addSegment } from './segment';
import { addServe } from './serve';
import { addSimilarity } from './similarity';
import { addVerify } from './verify';
import { version } from './version';

/** The command line: one verb a file. */
export function makeProgram(): Command {
  const program = new Command('freqfusion');
  program
    .description('Dense image prediction with FreqFusion, on libtorch.')
    .version(version(), '-V, --version')
    .exitOverride()
    .showHelpAfterError('Run with --help for the options.')
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Examples:
  $ freqfusion segment page.png -o out.png
  $ freqfusion segment scans/*.jpg -o segmented --format labels
  $ freqfusion detect photo.jpg -o detected.png
  $ freqfusion inspect model.pth
  $ freqfusion serve

Exit codes: ${EXIT.ok} success, ${EXIT.failed} a check or some of the inputs failed, ${EXIT.usage} wrong usage, ${EXIT.input} an input cannot be used,
${EXIT.addon} the native addon is missing, ${EXIT.output} an output cannot be written or a port not listened on,
${EXIT.internal} internal error, ${EXIT.redis} Redis cannot be used, ${EXIT.interrupted} interrupted.`,
    );
  for (const add of [
    addSegment,
    addDetect,
    addInspect,
    addConvert,
    addVerify,
    addSimilarity,
    addEval,
    addBench,
    addServe,
    addJobs,
    addInfo,
  ])
    add(program);
  return program;
}
