import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { loadModel } from '../../lib';
import { scoreMap } from '../../lib/server/images/score-map';
import { ROOT } from '../package/commands';
import { withServer } from './run';

const PAGE = join(ROOT, 'models/layout/val/page_11.png');

test('scores of a small image stay where they are', () => {
  const scores = Float32Array.from([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(scoreMap(scores, { width: 3, height: 2 })).toEqual({
    width: 3,
    height: 2,
    bytes: Uint8Array.from([0, 51, 102, 153, 204, 255]),
  });
});

test('those of a large one are thinned out evenly', () => {
  const size = { width: 4000, height: 1000 };
  const scores = Float32Array.from({ length: 4_000_000 }, (_, i) => (i % 4000) / 4000);
  const { width, height, bytes } = scoreMap(scores, size);
  expect([width, height, bytes.length]).toEqual([2000, 500, 1_000_000]);
  for (const column of [0, 700, 1999]) {
    const wanted = Math.round((255 * (2 * column + 1)) / 4000);
    expect([bytes[column], bytes[499 * 2000 + column]]).toEqual([wanted, wanted]);
  }
});

test('POST /segment?scores=true tells how sure the model is, and otherwise does not', async () => {
  const model = await loadModel();
  const map = await model.segment(PAGE, { outputs: ['scores'] });
  model.dispose();
  const body = await readFile(PAGE);
  await withServer({}, async ({ url }) => {
    const post = async (query: string) => {
      const headers = { 'content-type': 'image/png' };
      const response = await fetch(`${url}/segment${query}`, { method: 'POST', headers, body });
      return (await response.json()) as { runs: number[]; scores?: { width: number; png: string } };
    };
    const { scores, runs } = await post('?scores=true');
    expect([scores!.width, runs]).toEqual([map.width, map.runs()]);
    const { data, info } = await sharp(Buffer.from(scores!.png, 'base64'))
      .toColourspace('b-w')
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: map.width, height: map.height, channels: 1 });
    expect([...data]).toEqual(Array.from(map.scores!, (score) => Math.round(255 * score)));
    expect(Object.keys(await post(''))).not.toContain('scores');
  });
});
