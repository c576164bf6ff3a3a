import { rleFromBox, rleFromPolygon, rleFromPolygons } from '../../lib/coco/polygon';
import {
  boxIou,
  decodeRle,
  encodeRle,
  fromCocoRle,
  mergeRles,
  rleArea,
  rleBox,
  rleIou,
  toCocoRle,
} from '../../lib/coco/rle';
import fixtures from './fixtures/coco-masks.json';

describe("masks, equal to pycocotools' (test/python/coco/make_fixtures.py)", () => {
  test.each(fixtures.map((each, i) => [i, each] as const))('case %i', (_, each) => {
    const { height, width, polygons, want } = each;
    const crowd = each.crowd.map(Boolean);
    const parts = polygons.map((polygon) => rleFromPolygon(polygon, height, width));
    const union = mergeRles(parts);
    const intersection = mergeRles(parts, { intersect: true });
    const box = rleFromBox(each.box as [number, number, number, number], height, width);
    const encoded = encodeRle(Uint8Array.from(each.bitmap), height, width);
    const all = [...parts, union, intersection, box, encoded];
    expect(all.map((rle) => toCocoRle(rle).counts)).toEqual(want.strings);
    expect(want.strings.map((counts) => fromCocoRle({ size: [height, width], counts }))).toEqual(all);
    expect(rleFromPolygons(polygons, height, width)).toEqual(union);
    expect(all.map(rleArea)).toEqual(want.areas);
    expect(all.map(rleBox)).toEqual(want.boxes);
    expect(Array.from(decodeRle(union))).toEqual(want.bitmap);
    expect(Array.from(decodeRle(encoded))).toEqual(each.bitmap);
    expect(Array.from(rleIou(all, [union, intersection, encoded], crowd))).toEqual(want.ious);
    type Box = [number, number, number, number];
    expect(Array.from(boxIou(each.boxes as Box[], each.others as Box[], crowd))).toEqual(want.boxIous);
  });
});

describe('masks', () => {
  test('runs go down the columns and begin with zeros', () => {
    const mask = Uint8Array.from([0, 1, 0, 1, 1, 0]);
    const rle = encodeRle(mask, 2, 3);
    expect(rle).toEqual({ size: [2, 3], counts: Uint32Array.from([1, 3, 2]) });
    expect(decodeRle(rle)).toEqual(mask);
    expect([rleArea(rle), rleBox(rle)]).toEqual([3, [0, 0, 2, 2]]);
    expect(encodeRle(Uint8Array.from([7, 0]), 2, 1).counts).toEqual(Uint32Array.from([0, 1, 1]));
  });

  test('an empty mask, a full one, and one of no size', () => {
    const empty = encodeRle(new Uint8Array(6), 2, 3);
    const full = encodeRle(new Uint8Array(6).fill(1), 2, 3);
    expect([rleArea(empty), rleBox(empty)]).toEqual([0, [0, 0, 0, 0]]);
    expect([rleArea(full), rleBox(full)]).toEqual([6, [0, 0, 3, 2]]);
    expect(Array.from(rleIou([empty, full], [empty, full]))).toEqual([0, 0, 0, 1]);
    expect(decodeRle(fromCocoRle(toCocoRle(encodeRle(new Uint8Array(0), 0, 3))))).toHaveLength(0);
  });

  test('run lengths of any size survive compression', () => {
    const counts = [0, 1, 2 ** 30, 5, 2 ** 29, 31, 32, 1023];
    const total = counts.reduce((sum, count) => sum + count);
    const rle = { size: [1, total] as const, counts: Uint32Array.from(counts) };
    expect(fromCocoRle(toCocoRle(rle))).toEqual(rle);
    expect(fromCocoRle({ size: [1, total], counts })).toEqual(rle);
    expect(fromCocoRle({ size: [1, total], counts: Buffer.from(toCocoRle(rle).counts) })).toEqual(rle);
  });

  test.each([
    ['a character below the alphabet', { size: [1, 8], counts: '/8' }],
    ['a character above it', { size: [1, 8], counts: '8\u00ff' }],
    ['a string that ends within a number', { size: [1, 8], counts: '8P' }],
    ['a number of far too many characters', { size: [1, 8], counts: 'ooooooooooooooo0' }],
    ['a negative run', { size: [1, 8], counts: [9, -1] }],
    ['a run that is no integer', { size: [1, 8], counts: [7.5, 0.5] }],
    ['runs that are too short', { size: [1, 8], counts: [3, 4] }],
    ['runs that are too long', { size: [1, 8], counts: [3, 6] }],
    ['a size of three', { size: [1, 8, 1], counts: [8] }],
    ['a size that is no integer', { size: [1.5, 8], counts: [12] }],
    ['a size beyond all images', { size: [2 ** 20, 2 ** 20], counts: [2 ** 40] }],
    ['no counts', { size: [1, 8] }],
    ['no object', null],
  ])('%s is refused', (_, rle) => {
    expect(() => fromCocoRle(rle as never)).toThrow(expect.objectContaining({ code: 'ERR_RLE' }));
  });

  test('what does not fit is refused', () => {
    const [small, large] = [encodeRle(new Uint8Array(4), 2, 2), encodeRle(new Uint8Array(6), 2, 3)];
    const shape = expect.objectContaining({ code: 'ERR_SHAPE' });
    expect(() => rleIou([small], [large])).toThrow(shape);
    expect(() => mergeRles([small, large])).toThrow(shape);
    expect(() => mergeRles([])).toThrow(shape);
    expect(() => encodeRle(new Uint8Array(5), 2, 2)).toThrow(shape);
    const malformed = expect.objectContaining({ code: 'ERR_RLE' });
    for (const polygon of [[], [1, 2, 3], [0, 0, 9, Number.NaN, 9, 9], [0, 0, 1e9, 0, 9, 9]]) {
      expect(() => rleFromPolygon(polygon, 8, 8)).toThrow(malformed);
    }
    expect(() => rleFromPolygons([], 8, 8)).toThrow(malformed);
  });

  test('two points have nothing inside', () => {
    expect(rleArea(rleFromPolygon([1, 1, 6, 7], 8, 8))).toBe(0);
  });
});
