import { runFixture } from './run';

describe('inference beside an event loop', () => {
  test('a 1 ms timer ticks through it, and 1,000 of them leave tensors and memory where they were', () => {
    const ending = runFixture('loop.cjs', ['1000']);
    expect([ending.code, ending.signal]).toEqual([0, null]);
    const result = JSON.parse(ending.output);
    // A blocked loop would give a handful of ticks; a timer of 1 ms under load gives well over one in 10 ms.
    expect(result.ticks).toBeGreaterThan(result.elapsed / 10);
    expect(result.liveAfter).toBe(result.live);
    expect(result.grown).toBeLessThan(48 * 2 ** 20);
  }, 240_000);

  test('detections leave tensors where they were', () => {
    const ending = runFixture('loop.cjs', ['100', 'detect']);
    expect([ending.code, ending.signal]).toEqual([0, null]);
    const result = JSON.parse(ending.output);
    expect(result.ticks).toBeGreaterThan(result.elapsed / 10);
    expect(result.liveAfter).toBe(result.live);
  }, 240_000);

  test('the same holds with the system allocator', () => {
    const ending = runFixture('loop.cjs', ['100'], { FREQFUSION_ALLOCATOR: 'system' });
    expect([ending.code, ending.signal]).toEqual([0, null]);
    const result = JSON.parse(ending.output);
    expect(result.liveAfter).toBe(result.live);
  }, 240_000);
});
