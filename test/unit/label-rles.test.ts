import { COCO_STUFF } from '../../lib/coco/classes';
import { labelRles } from '../../lib/coco/label-rles';
import { encodeRle, toCocoRle } from '../../lib/coco/rle';
import { stuffResults } from '../../lib/coco/stuff-results';

const [W, H] = [13, 7];

describe("every class's mask of a label map", () => {
  test.each([
    ['noise', (i: number) => (Math.imul(i + 1, 2_654_435_761) >>> 28) % 3],
    ['columns', (i: number) => (i % W) % 4],
    ['rows', (i: number) => Math.floor(i / W)],
    ['one class', () => 5],
    ['a label over 255', (i: number) => (i > 40 ? 300 : 0)],
  ])('%s: equal to the mask by itself', (_, labelOf) => {
    const labels = Int32Array.from({ length: W * H }, (_, i) => labelOf(i));
    const wanted = [...new Set(labels)]
      .sort((a, b) => a - b)
      .map((label) => {
        const mask = Uint8Array.from(labels, (each) => Number(each === label));
        return { label, rle: encodeRle(mask, H, W) };
      });
    expect(labelRles(labels, H, W)).toEqual(wanted);
  });

  test('of no pixels there is none', () => expect(labelRles([], 0, 3)).toEqual([]));
});

describe('stuff results', () => {
  const map = { width: 2, height: 2, labels: Uint8Array.of(0, 1, 1, 0) };
  const masks = [Uint8Array.of(1, 0, 0, 1), Uint8Array.of(0, 1, 1, 0)].map((mask) =>
    toCocoRle(encodeRle(mask, 2, 2)),
  );

  test.each([
    ["COCO's ids", COCO_STUFF.slice(0, 2).map(({ name }) => name), [92, 93]],
    ['the index from 1', ['banner', 'something else'], [1, 2]],
  ])('classes are told by %s', (_, classes, ids) => {
    expect(stuffResults(map, classes, 9)).toEqual(
      ids.map((id, i) => ({ image_id: 9, category_id: id, segmentation: masks[i] })),
    );
  });
});
