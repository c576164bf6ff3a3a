import { runFixture } from './run';

const MB = 2 ** 20;

function cached(megabytes: number, idle: number, env: NodeJS.ProcessEnv): { kept: number; later: number } {
  const ending = runFixture('cache.cjs', [String(megabytes), String(idle)], env);
  expect([ending.code, ending.signal]).toEqual([0, null]);
  return JSON.parse(ending.output);
}

describe('the caching allocator', () => {
  test('keeps what a large tensor needed for the next one, and gives it back when nothing is to be done', () => {
    const { kept, later } = cached(1200, 3000, {});
    expect(kept).toBeGreaterThanOrEqual(1200 * MB);
    expect(later).toBeLessThanOrEqual(1024 * MB);
  }, 60_000);

  test('keeps no more than FREQFUSION_ALLOCATOR_CACHE_MB', () => {
    expect(cached(32, 0, { FREQFUSION_ALLOCATOR_CACHE_MB: '64' }).kept).toBeGreaterThanOrEqual(32 * MB);
    expect(cached(32, 0, { FREQFUSION_ALLOCATOR_CACHE_MB: '16' }).kept).toBeLessThanOrEqual(16 * MB);
    expect(cached(32, 0, { FREQFUSION_ALLOCATOR_CACHE_MB: '0' }).kept).toBe(0);
  }, 60_000);

  test('keeps nothing where the system allocator is chosen', () => {
    expect(cached(32, 0, { FREQFUSION_ALLOCATOR: 'system' }).kept).toBe(0);
  }, 60_000);
});
