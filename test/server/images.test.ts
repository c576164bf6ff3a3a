import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DetectionModel,
  type DetectionResult,
  loadDetector,
  loadModel,
  type SegmentationMap,
  type SegmentationModel,
} from '../../lib';
import { serve } from './serving';

const PAGE = join(__dirname, '../../models/layout/val/page_00.png');
const SHAPES = join(__dirname, '../../models/shapes/val/picture_00.png');

let server: Awaited<ReturnType<typeof serve>>;
let segmenter: SegmentationModel;
let detector: DetectionModel;
let page: Buffer;
let shapes: Buffer;
let map: SegmentationMap;
let found: DetectionResult;

beforeAll(async () => {
  server = await serve();
  segmenter = await loadModel();
  detector = await loadDetector();
  page = await readFile(PAGE);
  shapes = await readFile(SHAPES);
  map = await segmenter.segment(page);
  found = await detector.detect(shapes);
});
afterAll(async () => {
  segmenter.dispose();
  detector.dispose();
  await server.close();
});

const post = (
  path: string,
  body: Buffer | FormData,
  headers: Record<string, string> = { 'content-type': 'image/png' },
) => fetch(server.url + path, { method: 'POST', body, headers });
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

describe('POST /segment', () => {
  test('answers JSON with run lengths', async () => {
    const response = await post('/segment', page);
    expect(response.status).toBe(200);
    const { timing, ...answer } = (await response.json()) as Record<string, unknown>;
    expect(answer).toEqual({
      model: 'layout',
      version: '1',
      width: map.width,
      height: map.height,
      classes: map.areas(),
      runs: map.runs(),
      batch: 1,
    });
    expect(Object.keys(timing as object)).toEqual(['queue', 'decode', 'inference', 'total']);
  });

  test.each([
    ['labels', () => map.toLabelPng()],
    ['overlay', () => map.overlay(page)],
    ['overlay&opacity=0.8&legend=none', () => map.overlay(page, undefined, { opacity: 0.8, legend: 'none' })],
  ])('view=%s is what the library makes', async (view, wanted) => {
    const response = await post(`/segment?view=${view}`, page);
    expect(response.headers.get('content-type')).toBe('image/png');
    expect((await bytesOf(response)).equals(await wanted())).toBe(true);
  });

  test("view=coco is COCO's stuff", async () => {
    const response = await post('/segment?view=coco&imageId=7', page);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toEqual(map.toCoco(7));
  });
});

describe('POST /detect', () => {
  test('answers JSON with boxes and masks', async () => {
    const response = await post('/detect', shapes);
    expect(response.status).toBe(200);
    const { timing, ...answer } = (await response.json()) as Record<string, unknown>;
    const { timing: _, ...wanted } = found.toJSON();
    expect(answer).toEqual({
      model: 'shapes',
      version: '1',
      ...wanted,
      classes: detector.classes.map((name, index) => ({ index, name, color: detector.palette[index] })),
      batch: 1,
    });
    expect(Object.keys(timing as object)).toEqual(['queue', 'decode', 'inference', 'total']);
  });

  test("view=coco is COCO's results", async () => {
    expect(await (await post('/detect?view=coco&imageId=7', shapes)).json()).toEqual(found.toCoco(7));
  });

  test.each([
    ['overlay', {}],
    ['overlay&opacity=0.9&minScore=0.9', { opacity: 0.9, minScore: 0.9 }],
  ])('view=%s is what the library draws', async (view, options) => {
    const response = await post(`/detect?view=${view}`, shapes);
    expect((await bytesOf(response)).equals(await found.overlay(shapes, undefined, options))).toBe(true);
  });

  test('thresholds reach the model', async () => {
    const few = await detector.detect(shapes, { scoreThreshold: 0.5, maxDetections: 2 });
    const response = await post('/detect?view=coco&scoreThreshold=0.5&maxDetections=2', shapes);
    expect(await response.json()).toEqual(few.toCoco(1));
  });
});

test('the metrics tell how long answers took to make, by view', async () => {
  const counted = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^freqfusion_render_seconds_count\{view="labels"\} (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  const before = await counted();
  await post('/segment?view=labels', page);
  expect(await counted()).toBe(before + 1);
});
