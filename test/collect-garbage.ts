import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type MemoryStats, memoryStats } from '../lib';

/**
 * Collects what earlier test files of this process left to garbage collection, so that a count of live tensors speaks
 * of the test at hand. Some of it may go later still: such counts may fall beneath their start, never above it. Exact
 * counts stand in test/threads, in processes of their own.
 */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let live = -1; live !== memoryStats().liveTensors; ) {
    live = memoryStats().liveTensors;
    collect();
    // Finalizers of an addon run from the event loop.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Expects no more live handles than at the start of a test that has awaited something since. */
export function expectNothingLeft({
  liveTensors,
  liveModules,
}: Pick<MemoryStats, 'liveTensors' | 'liveModules'>): void {
  const now = memoryStats();
  expect(now.liveTensors).toBeLessThanOrEqual(liveTensors);
  expect(now.liveModules).toBeLessThanOrEqual(liveModules);
}
