import { fileNameOf } from '../../lib/cli/masks';
import { encodeRle } from '../../lib/coco/rle';
import { Canvas, fitText, textWidth } from '../../lib/image/canvas';
import {
  type DetectionOverlayOptions,
  type DrawnDetection,
  renderDetections,
  renderPanoptic,
} from '../../lib/image/detection-overlay';
import { innerPoints } from '../../lib/image/inner-points';
import { instanceColor } from '../../lib/image/palette';
import { drawTags, tagSizes } from '../../lib/image/tags';
import type { DecodedImage, Rgb } from '../../lib/image/types';

const [W, H] = [90, 80];
const GREY = 100;
const RED: Rgb = [255, 0, 0];
const BLUE: Rgb = [0, 0, 255];

const image: DecodedImage = {
  data: new Uint8Array(W * H * 3).fill(GREY),
  width: W,
  height: H,
  channels: 3,
  format: 'raw',
};
const at = ({ data }: Canvas, x: number, y: number) =>
  Array.from(data.subarray((y * W + x) * 3, (y * W + x) * 3 + 3));
const ground = [GREY, GREY, GREY];

/** A detection whose mask fills its box, of whole pixels. */
function filled(box: DrawnDetection['box'], label: number, score = 0.9): DrawnDetection {
  const [x1, y1, x2, y2] = box;
  const bits = new Uint8Array(W * H);
  for (let y = y1; y < y2; y++) bits.fill(1, y * W + x1, y * W + x2);
  return { box, score, label, className: label === 0 ? 'cat' : 'dog', mask: { rle: encodeRle(bits, H, W) } };
}

const render = (detections: readonly DrawnDetection[], options: DetectionOverlayOptions = {}) =>
  renderDetections(image, { width: W, height: H, detections, palette: [RED, BLUE] }, options);

describe('detections', () => {
  test('masks are translucent with a solid line along their edge, boxes are lines', async () => {
    const canvas = await render([filled([10, 20, 70, 60], 0)], {
      labels: false,
      opacity: 0.5,
      lineWidth: 2,
      boxes: false,
    });
    expect(at(canvas, 10, 20)).toEqual(RED);
    expect(at(canvas, 69, 40)).toEqual(RED);
    expect(at(canvas, 11, 40)).toEqual([178, 50, 50]);
    expect(at(canvas, 9, 40)).toEqual(ground);
    const box = await render([filled([10, 20, 70, 60], 0)], { labels: false, masks: false, lineWidth: 2 });
    expect([at(box, 10, 40), at(box, 11, 40), at(box, 12, 40)]).toEqual([RED, RED, ground]);
    expect([at(box, 40, 59), at(box, 40, 57)]).toEqual([RED, ground]);
  });

  test('edges between pixels are mixed in by how much of the pixel they cover', async () => {
    const half = { ...filled([10, 20, 70, 60], 0), box: [10.5, 20, 70, 60] as const };
    const canvas = await render([half], { labels: false, masks: false, lineWidth: 2 });
    expect(at(canvas, 10, 40)).toEqual([178, 50, 50]);
    expect(at(canvas, 11, 40)).toEqual(RED);
  });

  test('the best lies on top, and a second instance has a colour near its class', async () => {
    const two = [filled([10, 10, 50, 50], 0, 0.9), filled([30, 30, 80, 70], 0, 0.4)];
    const canvas = await render(two, { labels: false, boxes: false, opacity: 1 });
    expect(at(canvas, 40, 40)).toEqual(RED);
    expect(at(canvas, 70, 60)).toEqual([...instanceColor(RED, 1)]);
    expect(instanceColor(RED, 0)).toEqual(RED);
    expect(instanceColor(RED, 1)).not.toEqual(RED);
  });

  test('the edge of the image is no edge of a mask', async () => {
    const canvas = await render([filled([0, 0, W, H], 1)], { labels: false, boxes: false, opacity: 0.5 });
    expect(at(canvas, 0, 0)).toEqual([50, 50, 178]);
  });

  test('masks wider than a band are painted without seams', async () => {
    const canvas = await render([filled([1, 1, 89, 79], 1)], {
      labels: false,
      boxes: false,
      opacity: 0.5,
      lineWidth: 6,
    });
    for (let x = 4; x < 86; x++) expect(at(canvas, x, 40)).toEqual([50, 50, 178]);
    for (const x of [1, 3, 86, 88]) expect(at(canvas, x, 40)).toEqual(BLUE);
  });

  test('names stand at their boxes and stay in the picture', async () => {
    for (const box of [
      [10, 40, 60, 70],
      [0, 0, 20, 20],
      [80, 70, 90, 80],
    ] as const) {
      const bare = await render([filled(box, 0)], { labels: false, masks: false });
      const named = await render([filled(box, 0)], { masks: false });
      expect(Buffer.compare(bare.data, named.data)).not.toBe(0);
      expect(named.data.length).toBe(bare.data.length);
    }
  });

  test('a very long name is cut: it costs no time, its score stays, and all is as with a somewhat shorter one', async () => {
    const box = [10, 40, 60, 70] as const;
    const named = (className: string) =>
      render([{ box, score: 0.9, label: 0, className }], { boxes: false, masks: false });
    const long = await named('m'.repeat(2_000_000));
    expect(Buffer.compare(long.data, (await named('m'.repeat(100))).data)).toBe(0);
    expect(Buffer.compare(long.data, (await named('i')).data)).not.toBe(0);
    expect(at(long, 0, 25)).toEqual(ground);
  });

  test('what lies outside the picture is not gone through', () => {
    const canvas = Canvas.of(image);
    canvas.rectangle(-1e9, -1e9, 2e9, 2e9, 1, RED);
    expect([at(canvas, 0, 0), at(canvas, W - 1, H - 1)]).toEqual([RED, RED]);
    canvas.frame([-1e9, -1e9, 1e9, 20], 2, BLUE);
    expect([at(canvas, 50, 19), at(canvas, 50, 21)]).toEqual([BLUE, RED]);
  });

  test('texts are cut with three dots, by their width or by their characters', () => {
    expect(fitText('cat', 10)).toBe('cat');
    expect(fitText('c'.repeat(61), 10)).toBe(`${'c'.repeat(57)}...`);
    expect(fitText('\u{1F431}'.repeat(100), 10)).toBe(`${'\u{1F431}'.repeat(57)}...`);
    const cut = fitText('a dog and a cat', 10, { room: 60 });
    expect(cut).toMatch(/^a dog.*[^ ]\.\.\.$/);
    expect(textWidth(cut, 10)).toBeLessThanOrEqual(60);
    expect(fitText('cat', 10, { room: 1 })).toBe('');
  });

  test('names of files have letters, digits and few signs, and an end', () => {
    expect(fileNameOf('a/b\\c:d e..f')).toBe('a-b-c-d-e..f');
    expect(fileNameOf('../../etc')).toBe('..-..-etc');
    expect(fileNameOf('é'.repeat(5000))).toBe('é'.repeat(40));
    expect(Buffer.byteLength(fileNameOf('\u{20000}'.repeat(5000)))).toBe(80);
  });

  test('nothing found leaves the image as it is', async () => {
    expect(Buffer.compare((await render([])).data, image.data)).toBe(0);
  });

  test.each([
    [{ opacity: 2 }, 'ERR_RANGE', 'opacity'],
    [{ lineWidth: 0.5 }, 'ERR_RANGE', 'lineWidth'],
  ])('%j is refused', async (options, code, name) => {
    await expect(render([], options)).rejects.toMatchObject({ code, message: expect.stringContaining(name) });
  });

  test('an image of another size, a colour that is none, and a signal', async () => {
    const subject = { width: W, height: H + 1, detections: [], palette: [] };
    await expect(renderDetections(image, subject)).rejects.toMatchObject({ code: 'ERR_IMAGE_SIZE' });
    const wrong = { ...subject, height: H, palette: [[1, 2, 300] as const] };
    await expect(renderDetections(image, wrong)).rejects.toMatchObject({ code: 'ERR_COLOR' });
    const signal = AbortSignal.abort();
    await expect(render([filled([0, 0, 9, 9], 0)], { signal })).rejects.toMatchObject({
      code: 'ERR_ABORTED',
    });
  });
});

describe('tags', () => {
  test('move out of the way of those before them', () => {
    const canvas = Canvas.of(image);
    const { height } = tagSizes(canvas);
    const places = [
      [5, 5],
      [5, 5 + height],
    ] as const;
    drawTags(canvas, [
      { text: 'one', color: RED, places },
      { text: 'two', color: BLUE, places },
    ]);
    expect(at(canvas, 7, 6)).toEqual(RED);
    expect(at(canvas, 7, 6 + height)).toEqual(BLUE);
  });
});

describe('panoptic maps', () => {
  // Left half 7, right half void, and a thing of id 1000 in the middle of the left half.
  const ids = Int32Array.from({ length: W * H }, (_, i) => {
    const [x, y] = [i % W, Math.floor(i / W)];
    if (x >= 15 && x < 30 && y >= 30 && y < 50) return 1000;
    return x < 45 ? 7 : 0;
  });
  const segments = [
    { id: 7, label: 1, className: 'grass', isThing: false },
    { id: 1000, label: 0, className: 'cat', isThing: true },
  ];
  const subject = { width: W, height: H, ids, segments, palette: [RED, BLUE] };

  test('every segment has its colour, void none', async () => {
    const canvas = await renderPanoptic(image, subject, { labels: false, opacity: 0.5 });
    expect(at(canvas, 5, 5)).toEqual([50, 50, 178]);
    expect(at(canvas, 22, 40)).toEqual([178, 50, 50]);
    expect(at(canvas, 70, 40)).toEqual(ground);
    expect(at(canvas, 44, 5)).toEqual(BLUE);
  });

  test('names stand inside their segments', () => {
    const labels = ids.map((id) => (id === 7 ? 1 : id === 1000 ? 2 : 0));
    const points = innerPoints(labels, W, H, 4);
    for (const label of [0, 1, 2]) {
      const { x, y } = points[label]!;
      expect(labels[y * W + x]).toBe(label);
    }
    expect(points[3]).toBeUndefined();
  });
});
