import type { NativeDeviceMemory, NativeInfo, NativeMemory } from './binding';
import { invalidArgument } from './errors';
import { native } from './native';

/** Where a tensor lives: 'cpu', 'cuda' (the first GPU) or 'cuda:N'. */
export type Device = 'cpu' | 'cuda' | `cuda:${number}`;

/** Versions and capabilities of the loaded addon. */
export type RuntimeInfo = Omit<NativeInfo, 'napi'>;

/** Native memory at this moment; see {@link memoryStats}. */
export type MemoryStats = NativeMemory;

/** One GPU's memory at this moment; see {@link memoryStats}. */
export type DeviceMemoryStats = NativeDeviceMemory;

/** Narrows a value to a device name, or throws ERR_DEVICE. */
export function checkDevice(value: unknown, name = 'device'): Device {
  if (typeof value === 'string' && /^(cpu|cuda(:(0|[1-9]\d{0,2}))?)$/.test(value)) return value as Device;
  throw invalidArgument('ERR_DEVICE', name, "'cpu', 'cuda' or 'cuda:N'", value);
}

/** Versions of libtorch, whether this build has CUDA, and the instruction set that the CPU kernels use. */
export function runtimeInfo(): RuntimeInfo {
  const { napi: _napi, ...info } = native().info();
  return info;
}

/** Live handles, the bytes that they keep, and the caching CPU allocator's bytes, of this thread's environment. */
export function memoryStats(device?: 'cpu'): MemoryStats;
/** The memory of one GPU. Throws ERR_DEVICE where there is none of that name. */
export function memoryStats(device: Exclude<Device, 'cpu'>): DeviceMemoryStats;
export function memoryStats(device?: Device): MemoryStats | DeviceMemoryStats;
export function memoryStats(device: Device = 'cpu'): MemoryStats | DeviceMemoryStats {
  return checkDevice(device) === 'cpu' ? native().memory() : native().deviceMemory(device);
}

/**
 * Gives the memory that the caching allocators hold back to the system: the CPU's, and those of the GPUs in use, which
 * it waits for.
 */
export function emptyCache(): void {
  native().emptyCache();
}

/** Sets the threads that one job may use (1 to 1024). Default: libtorch's own choice, one per core. */
export function setThreads(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw invalidArgument('ERR_RANGE', 'threads', 'an integer from 1 to 1024', count);
  }
  native().setThreads(count);
}

/** The threads that one job may use. */
export function getThreads(): number {
  return native().getThreads();
}

/** Seeds every draw of random numbers that has no seed of its own, on every device. */
export function setSeed(seed: number): void {
  native().setSeed(checkSeed(seed));
}

/** Narrows a value to a seed, an integer from 0 to 2^53 - 1, or throws ERR_RANGE. */
export function checkSeed(seed: unknown, name = 'seed'): number {
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) return seed;
  throw invalidArgument('ERR_RANGE', name, 'an integer from 0 to 2^53 - 1', seed);
}
