import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makePalette } from '../../lib/image/palette';
import type { DecodedImage } from '../../lib/image/types';
import { DetectionResult } from '../../lib/models/detection-result';
import { PanopticMap } from '../../lib/models/panoptic-map';
import { defaultServeConfig } from '../../lib/server/config-file';
import type { Answer } from '../../lib/server/images/answer';
import { detectAnswer } from '../../lib/server/images/detect-answer';
import { render } from '../../lib/server/images/render';
import { makeServedModel, type ServedDetector } from '../../lib/server/served-model';

const MODELS = join(__dirname, '../../models');
const [W, H] = [40, 30];
const classes = ['ball', 'bat', 'grass'];
const palette = makePalette(3);
/** The model's own map: two balls on grass, and a row of nothing. */
const map = Int32Array.from({ length: W * H }, (_, i) => {
  if (i < W) return 3;
  return i % 7 === 0 ? (i > 600 ? 1000 : 2000) : 2;
});
const timing = { decode: 1, inference: 2, total: 3 };
const result = new DetectionResult({
  width: W,
  height: H,
  detections: [{ box: [1, 2, 30, 20], score: 0.9, label: 0, className: 'ball' }],
  panoptic: new PanopticMap({ width: W, height: H, map, classes, palette, things: 2 }),
  classes,
  palette,
  timing,
});
const image: DecodedImage = {
  data: Uint8Array.from({ length: 3 * W * H }, (_, i) => (7 * i) & 255),
  width: W,
  height: H,
  channels: 3,
  format: 'png',
};
const served = { result: { result, image }, waited: 4, batch: 2 };
const model = { config: { name: 'fields', version: '3' } } as ServedDetector;

const pictureOf = async (answer: Answer) => {
  if (!('job' in answer)) throw new Error('expected a job');
  return render(answer.job);
};

describe('of a panoptic model', () => {
  test("view=panoptic is COCO's PNG", async () => {
    const answer = detectAnswer(served, 'panoptic', { model, query: {} });
    expect((await pictureOf(answer)).equals(await result.panoptic!.toPng())).toBe(true);
    expect(answer.timing).toEqual({ queue: 4, decode: 1, inference: 2, total: 7 });
  });

  test('view=overlay is its map over the image', async () => {
    const answer = detectAnswer(served, 'overlay', { model, query: { opacity: 0.8 } });
    const wanted = await result.overlay(image, undefined, { opacity: 0.8 });
    expect((await pictureOf(answer)).equals(wanted)).toBe(true);
  });

  test('view=json has the segments', () => {
    const answer = detectAnswer(served, 'json', { model, query: {} });
    expect(answer).toMatchObject({
      json: { model: 'fields', version: '3', panoptic: { segments: result.panoptic!.segments }, batch: 2 },
    });
  });
});

test.each([
  ['segment', 'layout', 'layout/val/page_00.png'],
  ['detect', 'shapes', 'shapes/val/picture_00.png'],
] as const)(
  '%s: the decoded image comes with a result where it is asked for, in one batch',
  async (task, name, file) => {
    const config = defaultServeConfig({ models: [{ name, task, batch: { size: 2, delay: 10_000 } }] }, {})
      .models[0]!;
    const served = makeServedModel({ config, maxPixels: 1e6 }) as ServedDetector;
    await served.reload();
    const bytes = await readFile(join(MODELS, file));
    const ticket = { bytes: bytes.length };
    const [with_, without] = await Promise.all([
      served.predict(bytes, {}, { ...ticket, keepImage: true }),
      served.predict(bytes, {}, ticket),
    ]);
    expect([with_.batch, without.batch]).toEqual([2, 2]);
    const { width, height } = with_.result.result;
    expect(with_.result.image).toMatchObject({ width, height, channels: 3, format: 'png' });
    expect(without.result.image).toBeUndefined();
    await served.close();
  },
);
