import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { getThreads, runtimeInfo } from '../device';

/** Where and with what something was measured. */
export interface Environment {
  /** ISO date and time, UTC. */
  date: string;
  cpu: string;
  cores: number;
  /** Threads of one job. */
  threads: number;
  instructionSet: string;
  memoryBytes: number;
  /** Load average of the last minute when the measurement began. */
  load: number;
  freqfusion: string;
  /** Commit of a clone, with + where files differ from it; undefined elsewhere. */
  commit: string | undefined;
  node: string;
  libtorch: string;
  platform: string;
}

/** What this process runs on. */
export function environment(): Environment {
  const runtime = runtimeInfo();
  return {
    date: new Date().toISOString(),
    cpu: cpuName(),
    cores: cpus().length,
    threads: getThreads(),
    instructionSet: runtime.cpuCapability,
    memoryBytes: totalmem(),
    load: Math.round(loadavg()[0]! * 100) / 100,
    freqfusion: packageVersion(),
    commit: commit(),
    node: process.versions.node,
    libtorch: runtime.torch,
    platform: `${process.platform} ${process.arch}`,
  };
}

/** The processor's name; virtual machines often say no more than the maker, so family and model are added. */
function cpuName(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  try {
    const info = readFileSync('/proc/cpuinfo', 'utf8');
    const of = (key: string) => new RegExp(`^${key}\\s*: (.+)$`, 'm').exec(info)?.[1];
    const [family, number] = [of('cpu family'), of('model')];
    return family === undefined || number === undefined
      ? model
      : `${model} (family ${family}, model ${number})`;
  } catch {
    return model;
  }
}

const ROOT = join(__dirname, '..', '..');

function packageVersion(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

function commit(): string | undefined {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', 'native', 'lib') !== '';
    return git('rev-parse', '--short', 'HEAD') + (changed ? '+' : '');
  } catch {
    return undefined;
  }
}

/** The environment in a few lines of words. */
export function describeEnvironment(env: Environment): string[] {
  const commitNote = env.commit === undefined ? '' : ` (${env.commit})`;
  return [
    `${env.cpu}, ${env.cores} cores, ${env.threads} thread${env.threads === 1 ? '' : 's'}, ${env.instructionSet}, ${Math.round(env.memoryBytes / 2 ** 30)} GiB, ${env.platform}`,
    `freqfusion ${env.freqfusion}${commitNote}, Node.js ${env.node}, libtorch ${env.libtorch}, load ${env.load}, ${env.date}`,
  ];
}
