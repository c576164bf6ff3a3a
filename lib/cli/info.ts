import { arch, cpus, platform } from 'node:os';
import type { Command } from 'commander';
import { getThreads, memoryStats, runtimeInfo } from '../device';
import { loadBinding } from '../loader';
import { print, printJson, table } from './output';
import { version } from './version';

/** Adds the verb `info`. */
export function addInfo(program: Command): void {
  program
    .command('info')
    .description('Print the versions in use, the instruction set, the threads, and whether there is a GPU.')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExamples:\n  $ freqfusion info\n  $ freqfusion info --json')
    .action((flags: { json?: boolean }) => info(flags));
}

function info({ json }: { json?: boolean }): void {
  loadBinding();
  const runtime = runtimeInfo();
  const facts = {
    freqfusion: version(),
    node: process.versions.node,
    libtorch: runtime.torch,
    platform: `${platform()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    threads: getThreads(),
    instructionSet: runtime.cpuCapability,
    cuda: runtime.cuda,
    cudaDevices: runtime.cudaDevices,
    models: runtime.moduleKinds,
    memory: memoryStats(),
  };
  if (json === true) {
    printJson(facts);
    return;
  }
  const cuda = !facts.cuda ? 'no' : `yes, ${facts.cudaDevices} device${facts.cudaDevices === 1 ? '' : 's'}`;
  const rows = [
    ['freqfusion', facts.freqfusion],
    ['Node.js', facts.node],
    ['libtorch', facts.libtorch],
    ['platform', facts.platform],
    ['CPU', `${facts.cpu}, ${facts.cores} cores`],
    ['threads', String(facts.threads)],
    ['instruction set', facts.instructionSet],
    ['CUDA', cuda],
    ['modules', facts.models.join(', ')],
  ];
  for (const line of table(rows)) print(line);
}
