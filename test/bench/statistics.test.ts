import { linearFit, median, timing } from '../../lib/bench/statistics';

describe('median', () => {
  it('is the middle value, or the mean of the two middle ones', () => {
    expect(median([5, 1, 100])).toBe(5);
    expect(median([4, 1, 3, 100])).toBe(3.5);
  });

  it('leaves its argument in order and refuses an empty list', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
    expect(() => median([])).toThrow(RangeError);
  });

  it('stands in a timing beside the least and the number of runs', () => {
    expect(timing([9, 7, 8])).toEqual({ median: 8, min: 7, runs: 3 });
  });
});

describe('a linear fit', () => {
  it('finds the line that points lie on, over five decades', () => {
    const x = [64, 256, 1024, 4096].map((side) => side * side);
    const fit = linearFit(
      x,
      x.map((pixels) => 0.05 + 2e-5 * pixels),
    );
    expect(fit.slope).toBeCloseTo(2e-5, 12);
    expect(fit.intercept).toBeCloseTo(0.05, 6);
    expect(fit.worst).toBeLessThan(1e-9);
  });

  it('weighs small sizes as much as large ones', () => {
    // An ordinary fit of these would miss the first by a factor.
    const { residuals } = linearFit([1, 10, 1e6], [1.1, 9.5, 1e6]);
    expect(Math.max(...residuals.map(Math.abs))).toBeLessThan(0.2);
  });

  it('says how far the worst point is off the line', () => {
    const { worst, residuals } = linearFit([1, 2, 3, 4], [1, 2, 6, 4]);
    expect(worst).toBe(Math.max(...residuals.map(Math.abs)));
    expect(worst).toBeGreaterThan(0.3);
  });

  it.each([
    [[1], [1]],
    [
      [2, 2],
      [1, 1],
    ],
    [
      [1, 2],
      [1, 0],
    ],
    [[1, 2], [1]],
  ])('refuses x = %j, y = %j', (x, y) => {
    expect(() => linearFit(x, y)).toThrow(RangeError);
  });
});
