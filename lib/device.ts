import type { NativeInfo, NativeMemory } from './binding';
import { invalidArgument } from './errors';
import { native } from './native';

/** Where a tensor lives: 'cpu', 'cuda' (the first GPU) or 'cuda:N'. */
export type Device = 'cpu' | 'cuda' | `cuda:${number}`;

/** Versions and capabilities of the loaded addon. */
export type RuntimeInfo = Omit<NativeInfo, 'napi'>;

/** Native memory at this moment; see {@link memoryStats}. */
export type MemoryStats = NativeMemory;

/** Narrows a value to a device name, or throws ERR_DEVICE. */
export function checkDevice(value: unknown, name = 'device'): Device {
  if (typeof value === 'string' && /^(cpu|cuda(:\d{1,3})?)$/.test(value)) return value as Device;
  throw invalidArgument('ERR_DEVICE', name, "'cpu', 'cuda' or 'cuda:N'", value);
}

/** Versions of libtorch, whether it has CUDA, and the instruction set that the CPU kernels use. */
export function runtimeInfo(): RuntimeInfo {
  const { napi: _napi, ...info } = native().info();
  return info;
}

/** Live handles, the bytes that they keep, and the caching allocator's bytes, of this thread's environment. */
export function memoryStats(): MemoryStats {
  return native().memory();
}

/** Gives the memory that the caching CPU allocator holds back to the system. */
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

/** Seeds every draw of random numbers that has no seed of its own. */
export function setSeed(seed: number): void {
  native().setSeed(checkSeed(seed));
}

/** Narrows a value to a seed, an integer from 0 to 2^53 - 1, or throws ERR_RANGE. */
export function checkSeed(seed: unknown, name = 'seed'): number {
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) return seed;
  throw invalidArgument('ERR_RANGE', name, 'an integer from 0 to 2^53 - 1', seed);
}
