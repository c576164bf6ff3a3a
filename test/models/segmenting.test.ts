import { decodeImage } from '../../lib/image/decode';
import { bundledPage, loadModel } from '../../lib/models/load';
import type { SegmentationModel } from '../../lib/models/segmentation-model';
import type { InferenceOptions } from '../../lib/modules/segmentation-options';

const WIDTH = 600;
const HEIGHT = 460;
const SLIDE: InferenceOptions = { mode: 'slide', crop: [384, 384], stride: [256, 256] };

/** Three bundled pages, cut to one size, and one of another. */
async function pages() {
  const cut = async (index: number, width: number) => {
    const { data, width: from } = await decodeImage(bundledPage(index));
    const rows = Array.from({ length: HEIGHT }, (_, y) =>
      data.subarray(y * from * 3, (y * from + width) * 3),
    );
    return { data: Uint8Array.from(Buffer.concat(rows)), width, height: HEIGHT };
  };
  return [await cut(0, WIDTH), await cut(1, 500), await cut(2, WIDTH), await cut(3, WIDTH)];
}

let model: SegmentationModel;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model.dispose());

test.each([
  ['whole', undefined],
  ['in windows', SLIDE],
])('pages %s in a batch have the maps that they have alone', async (_, inference) => {
  const inputs = await pages();
  const options = { outputs: ['probabilities'], ...(inference && { inference }) } as const;
  let index = 0;
  for await (const { map } of model.segmentAll(inputs, { ...options, batch: 4 })) {
    using alone = await model.segment(inputs[index]!, options);
    const [got, want] = (await Promise.all([map!.probabilities!.data(), alone.probabilities!.data()])) as [
      Float32Array,
      Float32Array,
    ];
    const worst = want.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
    expect(worst).toBeLessThan(1e-4);
    const size = map!.labels.length;
    const lead = (pixel: number) =>
      want[alone.labels[pixel]! * size + pixel]! - want[map!.labels[pixel]! * size + pixel]!;
    expect(map!.labels.every((label, pixel) => label === alone.labels[pixel] || lead(pixel) < 1e-4)).toBe(
      true,
    );
    expect(new Set(map!.labels).size).toBeGreaterThan(1);
    map!.dispose();
    index += 1;
  }
  expect(index).toBe(4);
});
