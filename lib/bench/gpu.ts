import { execFileSync } from 'node:child_process';
import type { TimingPlan, Timing as TimingSamples } from '../binding';
import { type Device, emptyCache, memoryStats } from '../device';
import { native } from '../native';
import { type Environment, environment } from './environment';
import type { Candidate } from './measure';
import { median, type Timing, timing } from './statistics';

/** Something to measure on a GPU. `time` makes its inputs, runs it as often as planned, and frees everything. */
export interface GpuCandidate extends Omit<Candidate, 'run'> {
  time: (plan: TimingPlan) => Promise<TimingSamples>;
}

/** A candidate with what was measured of it. Times lie between two CUDA events in the device's stream. */
export interface GpuRow extends Omit<Candidate, 'run' | 'work'> {
  /** Floating-point operations and bytes that the result needs at least. */
  flops: number;
  bytes: number;
  /** Absent where it could not be measured. */
  ms?: Timing;
  /** GB/s of `bytes`. */
  gbs?: number;
  /** `gbs` over the bandwidth of a copy on the same device in the same run, 0 to 1. */
  copyShare?: number;
  /** Greatest device memory in tensors while it ran, beside its inputs and weights. */
  extraBytes?: number;
  /** Why it could not be measured. */
  error?: string;
}

/** Which GPU was measured. */
export interface Gpu {
  device: Device;
  name: string;
  driver: string;
  memoryBytes: number;
}

/** Everything that one run of `freqfusion bench --device cuda` measured. */
export interface GpuReport {
  environment: Environment;
  gpu: Gpu;
  /** GB/s of a copy of 1 GB from device memory to device memory, bytes read and written; between the measurements. */
  copy: { best: number; median: number };
  rows: GpuRow[];
}

/** Twice the largest last-level cache of a GPU that this is built for: what is written between two runs. */
const FLUSH_BYTES = 256 << 20;
const COPY_BYTES = 2 ** 30;
const WARMUP = 5;

/**
 * Measures candidates on a GPU one after the other, and a copy before the first, between cases, and after the last. One
 * that fails is written down with its error, and the next one runs.
 */
export async function measureOnGpu(
  candidates: readonly GpuCandidate[],
  { device, runs, onProgress }: { device: Device; runs: number; onProgress?: (name: string) => void },
): Promise<Pick<GpuReport, 'copy' | 'rows'>> {
  const copies: number[] = [];
  const sampleCopy = async () => {
    const plan = { warmup: 2, repeats: 5, flushBytes: 0 };
    const { milliseconds } = await native().timeCopy(device, copyBytes(device), plan);
    copies.push(...milliseconds.map((ms) => (2 * copyBytes(device)) / ms / 1e6));
  };
  const rows: GpuRow[] = [];
  const plan = { warmup: WARMUP, repeats: runs, flushBytes: FLUSH_BYTES };
  for (const [index, { time, work, ...rest }] of candidates.entries()) {
    const before = candidates[index - 1];
    if (before === undefined || before.name !== rest.name) {
      await sampleCopy();
      onProgress?.(`${rest.name}, ${rest.shape}`);
    }
    const row: GpuRow = { ...rest, ...work };
    try {
      emptyCache();
      const { milliseconds, baseBytes, peakBytes } = await time(plan);
      row.ms = timing(milliseconds);
      row.gbs = work.bytes / row.ms.median / 1e6;
      row.extraBytes = peakBytes - baseBytes;
    } catch (error) {
      row.error = error instanceof Error ? error.message : String(error);
    }
    rows.push(row);
  }
  await sampleCopy();
  const copy = { best: Math.max(...copies), median: median(copies) };
  for (const row of rows) if (row.gbs !== undefined) row.copyShare = row.gbs / copy.best;
  return { copy, rows };
}

/** A copy of 1 GB, less on a device with little memory. */
function copyBytes(device: Device): number {
  return device === 'cpu' ? 1 << 24 : Math.min(COPY_BYTES, memoryStats(device).totalBytes / 8);
}

/** The whole report of candidates that were measured on `device`. */
export async function gpuReport(
  candidates: readonly GpuCandidate[],
  options: { device: Device; runs: number; onProgress?: (name: string) => void },
): Promise<GpuReport> {
  const before = environment();
  const gpu = describeGpu(options.device);
  return { environment: before, gpu, ...(await measureOnGpu(candidates, options)) };
}

/** Name and driver by nvidia-smi: 'unknown' where it is not to be had. */
function describeGpu(device: Device): Gpu {
  const memoryBytes = device === 'cpu' ? 0 : memoryStats(device).totalBytes;
  const index = device.includes(':') ? device.slice(device.indexOf(':') + 1) : '0';
  try {
    const query = ['--query-gpu=name,driver_version', '--format=csv,noheader', '-i', index];
    const line = execFileSync('nvidia-smi', query, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    });
    const [name = 'unknown', driver = 'unknown'] = line.trim().split(', ');
    return { device, name, driver, memoryBytes };
  } catch {
    return { device, name: 'unknown', driver: 'unknown', memoryBytes };
  }
}
