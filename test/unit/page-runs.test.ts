import { toCocoRle } from '../../lib/coco/rle-string';
import { LabelRuns } from '../../lib/server/page/label-runs';
import { MaskRuns, runLengths } from '../../lib/server/page/mask-runs';
import { paintLabels, paintMasks } from '../../lib/server/page/paint';
import { paintSize, pointsWithin, samplePoints } from '../../lib/server/page/sampling';

const never = new AbortController().signal;

describe('labels as runs', () => {
  // 0 0 1
  // 1 1 2
  const labels = new LabelRuns(3, 2, [0, 2, 1, 3, 2, 1]);

  test('tell the class of each pixel, and nothing outside', () => {
    const rows = [0, 1].map((y) => [0, 1, 2].map((x) => labels.at(x, y)));
    expect(rows).toEqual([
      [0, 0, 1],
      [1, 1, 2],
    ]);
    for (const [x, y] of [
      [-1, 0],
      [3, 0],
      [0, 2],
      [0, -1],
    ] as const) {
      expect(labels.at(x, y)).toBeUndefined();
    }
  });

  test('must add up to the image', () => {
    expect(() => new LabelRuns(3, 2, [0, 2, 1, 3])).toThrow('expected runs of 3 x 2 = 6 pixels, got 5');
  });

  test('are painted in the colours of the classes that are shown, at any size', async () => {
    const pixels = { data: new Uint8ClampedArray(6 * 2 * 4), width: 6, height: 2 };
    const colors = new Map([
      [0, [10, 20, 30]],
      [2, [1, 2, 3]],
    ] as const);
    expect(await paintLabels(pixels, labels, colors, never)).toBe(true);
    const painted = Array.from({ length: 12 }, (_, i) => [...pixels.data.subarray(4 * i, 4 * i + 4)]);
    const [a, none, b] = [
      [10, 20, 30, 255],
      [0, 0, 0, 0],
      [1, 2, 3, 255],
    ];
    expect(painted).toEqual([a, a, a, a, none, none, none, none, none, none, b, b]);
  });

  test('stop being painted when something newer is', async () => {
    const controller = new AbortController();
    controller.abort();
    const pixels = { data: new Uint8ClampedArray(24), width: 3, height: 2 };
    expect(await paintLabels(pixels, labels, new Map(), controller.signal)).toBe(false);
  });
});

describe('masks as COCO writes them', () => {
  // Column by column: outside 1, inside 2, outside 3, inside 400, outside 194.
  const counts = Uint32Array.from([1, 2, 3, 400, 194]);
  const coco = toCocoRle({ size: [20, 30], counts });

  test('are read as they were written', () => {
    expect(runLengths(coco.counts)).toEqual([...counts]);
  });

  test('tell which pixels are inside', () => {
    const mask = new MaskRuns(coco);
    const inside = Array.from({ length: 600 }, (_, i) => mask.has(Math.floor(i / 20), i % 20));
    const wanted = [...counts].flatMap((length, run) => new Array<boolean>(length).fill(run % 2 === 1));
    expect(inside).toEqual(wanted);
    expect([mask.has(-1, 3), mask.has(30, 3), mask.has(3, 20)]).toEqual([false, false, false]);
  });

  test('are painted where they are inside', async () => {
    const mask = new MaskRuns(coco);
    const pixels = { data: new Uint8ClampedArray(600 * 4), width: 30, height: 20 };
    const painted = { mask, box: [0, 0, 30, 20], color: [7, 8, 9] } as const;
    await paintMasks(pixels, { width: 30, height: 20 }, [painted], never);
    for (let y = 0; y < 20; y++) {
      for (let x = 0; x < 30; x++) {
        const at = (y * 30 + x) * 4;
        const wanted = mask.has(x, y) ? [7, 8, 9, 255] : [0, 0, 0, 0];
        expect([...pixels.data.subarray(at, at + 4)]).toEqual(wanted);
      }
    }
  });

  test.each([
    ['a character that is none of them', { size: [2, 2], counts: '1 ' }, 'a bad character at 1'],
    ['a number without its end', { size: [2, 2], counts: 'P' }, 'a bad character at 1'],
    ['another size', { size: [2, 2], counts: '5' }, '2 x 2 = 4 pixels, got 5'],
  ] as const)('%s is refused', (_name, mask, message) => {
    expect(() => new MaskRuns(mask)).toThrow(message);
  });
});

describe('sampling', () => {
  test('takes the pixel under the centre', () => {
    expect([...samplePoints(3, 9)]).toEqual([1, 4, 7]);
    expect([...samplePoints(4, 2)]).toEqual([0, 0, 1, 1]);
  });

  test('finds the output pixels of a part', () => {
    const points = Uint32Array.from([1, 4, 7, 10]);
    expect(pointsWithin(points, 2, 8)).toEqual([1, 3]);
    expect(pointsWithin(points, -3, 99)).toEqual([0, 4]);
    expect(pointsWithin(points, 11, 20)).toEqual([4, 4]);
  });

  test('never paints more pixels than the screen or the image has', () => {
    expect(paintSize({ width: 4000, height: 3000 }, { width: 800, height: 600 })).toEqual({
      width: 800,
      height: 600,
    });
    expect(paintSize({ width: 40, height: 30 }, { width: 800, height: 600 })).toEqual({
      width: 40,
      height: 30,
    });
  });
});
