import sharp from 'sharp';
import { COCO_PANOPTIC, COCO_THINGS } from '../../lib/coco/classes';
import { decodeRle, encodeRle, fromCocoRle, rleFromPolygons } from '../../lib/coco/rle';
import { DetectionMask } from '../../lib/models/detection-mask';
import { type Detection, DetectionResult } from '../../lib/models/detection-result';
import { PanopticMap } from '../../lib/models/panoptic-map';

const timing = { decode: 1, inference: 2, total: 3 };

/** A mask as rows of text: # is set. */
function mask(...rows: string[]): DetectionMask {
  const width = rows[0]!.length;
  const bits = Uint8Array.from(rows.join(''), (sign) => Number(sign === '#'));
  return new DetectionMask(encodeRle(bits, rows.length, width));
}

describe('a mask', () => {
  const cross = mask('.....', '..#..', '.###.', '..#..');

  test('its area, box and pixels come from the run lengths', () => {
    expect([cross.width, cross.height, cross.area]).toEqual([5, 4, 5]);
    expect(cross.box).toEqual([1, 1, 3, 3]);
    expect(Array.from(cross.toBitmap().subarray(5, 10))).toEqual([0, 0, 1, 0, 0]);
    const found = [];
    for (let y = 0; y < 4; y++) for (let x = 0; x < 5; x++) if (cross.at(x, y)) found.push([x, y]);
    expect(found).toEqual([
      [2, 1],
      [1, 2],
      [2, 2],
      [3, 2],
      [2, 3],
    ]);
    expect(() => cross.at(5, 0)).toThrow('expected an integer from 0 to 4 for x, got 5');
  });

  test('its outline runs along the edges of its pixels', () => {
    expect(cross.toPolygons()).toEqual([
      [3, 1, 3, 2, 4, 2, 4, 3, 3, 3, 3, 4, 2, 4, 2, 3, 1, 3, 1, 2, 2, 2, 2, 1],
    ]);
  });

  test('regions that touch at a corner are two, holes are none', () => {
    expect(mask('##..', '##..', '..#.').toPolygons()).toEqual([
      [2, 0, 2, 2, 0, 2, 0, 0],
      [3, 2, 3, 3, 2, 3, 2, 2],
    ]);
    expect(mask('..#.', '##..').toPolygons()).toHaveLength(2);
    expect(mask('###', '#.#', '###').toPolygons()).toEqual([[3, 0, 3, 3, 0, 3, 0, 0]]);
    expect(mask('....').toPolygons()).toEqual([]);
  });

  test('outlines rasterise to the mask with its holes filled, for random masks', () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed / 2 ** 31;
    };
    for (let round = 0; round < 60; round++) {
      const [height, width] = [1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
      const share = random();
      const bits = Uint8Array.from({ length: height * width }, () => Number(random() < share));
      const polygons = new DetectionMask(encodeRle(bits, height, width)).toPolygons();
      const filled = fillHoles(bits, height, width);
      if (polygons.length === 0) expect(filled.some(Boolean)).toBe(false);
      else
        expect(Array.from(decodeRle(rleFromPolygons(polygons, height, width)))).toEqual(Array.from(filled));
    }
  });

  test('as a PNG it is white on black', async () => {
    const { data, info } = await sharp(await cross.toPng())
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([info.width, info.height]).toEqual([5, 4]);
    expect([data[0], data[7 * info.channels]]).toEqual([0, 255]);
  });
});

/** Sets what cannot be reached from outside the image over unset pixels, corners included. */
function fillHoles(bits: Uint8Array, height: number, width: number): Uint8Array {
  const outside = new Set<string>();
  const queue: [number, number][] = [[-1, -1]];
  while (queue.length > 0) {
    const [x, y] = queue.pop()!;
    if (x < -1 || y < -1 || x > width || y > height || outside.has(`${x} ${y}`)) continue;
    if (x >= 0 && y >= 0 && x < width && y < height && bits[y * width + x] === 1) continue;
    outside.add(`${x} ${y}`);
    for (let dx = -1; dx <= 1; dx++) for (let dy = -1; dy <= 1; dy++) queue.push([x + dx, y + dy]);
  }
  return bits.map((_, i) => Number(!outside.has(`${i % width} ${Math.floor(i / width)}`)));
}

const names = COCO_THINGS.map(({ name }) => name);
const colors = COCO_THINGS.map(({ color }) => color);

function result(detections: readonly Detection[], classes = names): DetectionResult {
  return new DetectionResult({ width: 5, height: 4, detections, classes, palette: colors, timing });
}

const DOG: Detection = {
  box: [1, 1, 4, 4],
  score: 0.75,
  label: 16,
  className: 'dog',
  mask: mask('.....', '..#..', '.###.', '..#..'),
};
const STOP: Detection = { box: [0.5, 0, 5, 2.25], score: 0.5, label: 11, className: 'stop sign' };

describe('a result', () => {
  test("in COCO's form boxes are [x, y, w, h], classes and masks are COCO's", () => {
    const coco = result([DOG, STOP]).toCoco(139);
    expect(coco[0]).toMatchObject({ image_id: 139, category_id: 18, bbox: [1, 1, 3, 3], score: 0.75 });
    expect(Array.from(decodeRle(fromCocoRle(coco[0]!.segmentation!)))).toEqual(
      Array.from(DOG.mask!.toBitmap()),
    );
    expect(coco[1]).toEqual({ image_id: 139, category_id: 13, bbox: [0.5, 0, 4.5, 2.25], score: 0.5 });
  });

  test('other classes have their index from 1', () => {
    const shapes = ['circle', 'square'];
    const found = { ...STOP, label: 1, className: 'square' };
    expect(result([found], shapes).toCoco(1)[0]!.category_id).toBe(2);
  });

  test('counts, JSON, and an empty result', () => {
    expect(result([DOG, STOP, DOG]).counts()).toEqual([
      { className: 'dog', label: 16, count: 2 },
      { className: 'stop sign', label: 11, count: 1 },
    ]);
    expect(result([DOG, STOP]).counts(0.6)).toHaveLength(1);
    expect(JSON.parse(JSON.stringify(result([STOP])))).toEqual({
      width: 5,
      height: 4,
      detections: [STOP],
      timing,
    });
    const empty = result([]);
    expect([empty.toCoco(1), empty.counts(), empty.toJSON().detections]).toEqual([[], [], []]);
  });

  test('no mask holds more than run lengths', () => {
    expect(JSON.stringify(result([DOG])).length).toBeLessThan(250);
  });
});

describe('a panoptic map', () => {
  const classes = COCO_PANOPTIC.map(({ name }) => name);
  const palette = COCO_PANOPTIC.map(({ color }) => color);
  // Sky (119) above void (133), with two persons (label 0).
  const map = Int32Array.from([119, 119, 1000, 119, 119, 2000, 133, 2000, 1000, 133, 133, 133]);
  const panoptic = new PanopticMap({ width: 4, height: 3, map, classes, palette, things: 80 });

  test('its segments have areas and boxes, void is 0', () => {
    expect(Array.from(panoptic.ids)).toEqual([119, 119, 1000, 119, 119, 2000, 0, 2000, 1000, 0, 0, 0]);
    expect(panoptic.segments).toEqual([
      { id: 119, label: 119, className: 'sky-other-merged', isThing: false, area: 4, box: [0, 0, 4, 2] },
      { id: 1000, label: 0, className: 'person', isThing: true, area: 2, box: [0, 0, 3, 3] },
      { id: 2000, label: 0, className: 'person', isThing: true, area: 2, box: [1, 1, 3, 1] },
    ]);
    expect(panoptic.at(1, 1)?.id).toBe(2000);
    expect(panoptic.at(2, 1)).toBeUndefined();
    expect(() => panoptic.at(0, 3)).toThrow('expected an integer from 0 to 2 for y, got 3');
  });

  test("in COCO's form", async () => {
    const { segments_info: infos, ...rest } = panoptic.toCoco(7, '7.png');
    expect(rest).toEqual({ image_id: 7, file_name: '7.png' });
    expect(infos[1]).toEqual({
      id: 1000,
      category_id: 1,
      area: 2,
      bbox: [0, 0, 3, 3],
      iscrowd: 0,
      isthing: 1,
    });
    expect(infos[0]).toMatchObject({ category_id: 187, isthing: 0 });
    const { data } = await sharp(await panoptic.toPng())
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([...data.subarray(6, 9)]).toEqual([1000 % 256, Math.floor(1000 / 256), 0]);
  });

  test('classes of their own', () => {
    const own = new PanopticMap({
      width: 2,
      height: 1,
      map: Int32Array.from([1001, 2]),
      classes: ['circle', 'square', 'ground'],
      palette: [],
      things: 2,
    });
    expect(own.segments.map(({ className, isThing }) => [className, isThing])).toEqual([
      ['ground', false],
      ['square', true],
    ]);
    expect(own.toCoco(1, 'a.png').segments_info.map(({ category_id: id }) => id)).toEqual([3, 2]);
  });

  test('the overlay of a panoptic result paints the map, or boxes where asked', async () => {
    const image = { data: new Uint8Array(36).fill(100), width: 4, height: 3 };
    const base = { width: 4, height: 3, classes, palette, timing };
    const whole = new DetectionResult({ ...base, detections: [], panoptic });
    const painted = await sharp(await whole.overlay(image, undefined, { labels: false, lineWidth: 0 }))
      .raw()
      .toBuffer();
    expect(painted[0]).toBe(Math.round(100 * 0.55 + palette[119]![0] * 0.45));
    // Void stays as it is.
    expect([...painted.subarray(27, 30)]).toEqual([100, 100, 100]);
    const boxes = await sharp(await whole.overlay(image, undefined, { panoptic: false }))
      .raw()
      .toBuffer();
    expect(new Set(boxes)).toEqual(new Set([100]));
  });
});
