import { readFileSync } from 'node:fs';
import type { Browser, Locator } from 'playwright-core';
import sharp from 'sharp';
import { loadDetector, loadModel, type SegmentationMap } from '../../lib';
import { serve } from './server';
import { eventually, PICTURES, plain, startBrowser, Visit } from './visit';

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let map: SegmentationMap;
let visit: Visit;

beforeAll(async () => {
  server = await serve();
  browser = await startBrowser();
  const model = await loadModel();
  map = await model.segment(PICTURES.layout, { outputs: ['scores'] });
  model.dispose();
});
afterAll(async () => {
  await browser.close();
  await server.close();
});
beforeEach(async () => {
  visit = await Visit.open(browser, server.url);
});
afterEach(async () => {
  expect(await visit.close()).toEqual([]);
});

const rgba = async (png: Buffer) => sharp(png).ensureAlpha().raw().toBuffer({ resolveWithObject: true });

/** The bytes of a download that a button starts, and its name. */
async function download(button: Locator) {
  const [started] = await Promise.all([visit.page.waitForEvent('download'), button.click()]);
  return { name: started.suggestedFilename(), bytes: readFileSync(await started.path()) };
}

/** The drawn boxes' canvas, and how many pixels of it are painted. */
const painted = async (id: string) => {
  const { data } = await rgba(await visit.canvas(id));
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
};

describe('a segmentation', () => {
  // High enough for the whole picture at its own size.
  beforeEach(async () => {
    await visit.page.setViewportSize({ width: 1280, height: 1100 });
    await visit.sample('page_08.png');
  });

  /** Pixels whose overlay is not the colour of their class, or not clear where it is hidden. */
  const wrong = async (hidden: string[] = []) => {
    const { data, info } = await rgba(await visit.canvas('masks'));
    if (info.width !== map.width || info.height !== map.height) return `${info.width} x ${info.height}`;
    let count = 0;
    for (let i = 0; i < map.labels.length; i++) {
      const label = map.labels[i]!;
      const clear = hidden.includes(map.classes[label]!);
      const [red, green, blue, alpha] = clear ? [0, 0, 0, 0] : [...map.palette[label]!, 255];
      const at = 4 * i;
      const same =
        data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] === alpha;
      if (!same) count += 1;
    }
    return count;
  };

  test('is painted pixel for pixel, and classes can be hidden', async () => {
    await eventually(() => wrong(), 0);
    const table = visit.at('legend').getByRole('button', { name: 'table' });
    await table.click();
    expect(await table.getAttribute('aria-pressed')).toBe('false');
    await eventually(() => wrong(['table']), 0);
    await visit.at('show-all').click();
    await eventually(() => wrong(), 0);
    expect(await table.getAttribute('aria-pressed')).toBe('true');
    expect(await visit.at('show-all').textContent()).toBe('Hide all');
  });

  test('has a legend with shares, the largest first', async () => {
    const rows = await visit.at('legend').getByRole('button').allTextContents();
    const wanted = map.areas().map(({ name, share }) => {
      const percent = 100 * share;
      return `${name}${percent < 10 ? percent.toFixed(1).replace('.0', '') : percent.toFixed(0)} %`;
    });
    expect(rows.map(plain)).toEqual(wanted);
  });

  test('says under the pointer what is there', async () => {
    for (const [x, y] of [
      [0.5, 0.1],
      [0.4, 0.8],
      [0.25, 0.58],
    ] as const) {
      await visit.point(x, y);
      const { name, score } = map.at(Math.floor(x * map.width), Math.floor(y * map.height));
      const [, told, sure] = /^(\w+), ([\d.]+) % sure$/.exec(plain(await visit.at('tip').textContent()))!;
      expect(told!.toLowerCase()).toBe(name);
      expect(Math.abs(Number(sure) / 100 - score!)).toBeLessThan(0.01);
    }
    await visit.page.mouse.move(5, 5);
    expect(await visit.at('tip').isVisible()).toBe(false);
  });

  test('fades with the slider, and is wiped by slider and handle', async () => {
    const style = (id: string, property: string) =>
      visit.evaluate<string>(`getComputedStyle(document.getElementById('${id}')).${property}`);
    expect(await style('masks', 'opacity')).toBe('0.6');
    await visit.at('opacity').fill('25');
    expect(await style('masks', 'opacity')).toBe('0.25');
    expect(plain(await visit.at('opacity-value').textContent())).toBe('25 %');
    await visit.at('wipe').fill('30');
    expect(await style('masks', 'clipPath')).toBe('inset(0px 0px 0px 30%)');
    const from = await visit.place(0.3, 0.5);
    const to = await visit.place(0.75, 0.5);
    await visit.page.mouse.move(from.left, from.top);
    await visit.page.mouse.down();
    await visit.page.mouse.move(to.left, to.top, { steps: 5 });
    await visit.page.mouse.up();
    expect(await visit.at('wipe').inputValue()).toBe('75');
    expect(await visit.at('wipe').getAttribute('aria-valuetext')).toBe('75 % original');
    expect(await style('boxes', 'clipPath')).toBe('inset(0px 0px 0px 75%)');
  });

  test('tells where the time went', async () => {
    const names = await visit.at('timing').locator('dt').allTextContents();
    expect(names).toEqual(['Queue', 'Decode', 'Inference', 'Total on the server', 'Round trip']);
    for (const value of await visit.at('timing').locator('dd').allTextContents()) {
      expect(plain(value)).toMatch(/^[\d.]+ m?s$/);
    }
  });

  test('can be saved: the answer as the server gave it, the picture as it is shown', async () => {
    const json = await download(visit.at('download-json'));
    expect(json.name).toBe('page_08-answer.json');
    const answer = JSON.parse(json.bytes.toString());
    const body = readFileSync(PICTURES.layout);
    const headers = { 'content-type': 'image/png' };
    const direct = await fetch(`${server.url}/segment?model=layout&scores=true`, {
      method: 'POST',
      body,
      headers,
    });
    const wanted = (await direct.json()) as Record<string, unknown>;
    expect({ ...answer, timing: 0 }).toEqual({ ...wanted, timing: 0 });

    await visit.at('opacity').fill('50');
    await visit.at('legend').getByRole('button', { name: 'text' }).click();
    const png = await download(visit.at('download-png'));
    expect(png.name).toBe('page_08-overlay.png');
    const { data, info } = await rgba(png.bytes);
    expect([info.width, info.height]).toEqual([map.width, map.height]);
    const { data: photo } = await rgba(body);
    let worst = 0;
    for (let i = 0; i < map.labels.length; i++) {
      const label = map.labels[i]!;
      for (let channel = 0; channel < 3; channel++) {
        const before = photo[4 * i + channel]!;
        const mixed = map.classes[label] === 'text' ? before : (before + map.palette[label]![channel]!) / 2;
        worst = Math.max(worst, Math.abs(data[4 * i + channel]! - mixed));
      }
    }
    expect(worst).toBeLessThanOrEqual(2);
  });
});

test('a large photo is painted with no more pixels than the screen has', async () => {
  const create = { width: 6000, height: 4000, channels: 3, background: '#8899aa' } as const;
  const buffer = await sharp({ create }).jpeg().toBuffer();
  await visit.at('file').setInputFiles({ name: 'photo.jpg', mimeType: 'image/jpeg', buffer });
  await visit.shows('photo.jpg');
  const { width } = (await visit.at('stage').boundingBox())!;
  for (const id of ['masks', 'boxes']) {
    const same = async () => {
      const { info } = await rgba(await visit.canvas(id));
      return Math.abs(info.width - width) <= 1;
    };
    await eventually(same, true);
  }
});

describe('detections', () => {
  beforeEach(() => visit.sample('picture_04.png'));

  test('are those of the model, and the slider lets fewer or more through', async () => {
    const detector = await loadDetector();
    const found = await detector.detect(PICTURES.shapes, { scoreThreshold: 0.05 });
    const scores = found.toJSON().detections.map(({ score }) => score);
    detector.dispose();
    for (const least of [5, 50, 95]) {
      await visit.at('threshold').fill(String(least));
      const wanted = scores.filter((score) => score >= least / 100).length;
      expect(await visit.at('found').getByRole('button').count()).toBe(wanted);
    }
    await visit.at('threshold').fill('100');
    expect(await visit.at('found').textContent()).toBe('Nothing at this score.');
    expect(await painted('boxes')).toBe(0);
    await eventually(() => painted('masks'), 0);
  });

  test('have masks and boxes, and classes can be hidden', async () => {
    await eventually(async () => (await painted('masks')) > 0, true);
    const [masks, boxes] = [await painted('masks'), await painted('boxes')];
    await visit.at('legend').getByRole('button', { name: 'circle' }).click();
    await eventually(async () => (await painted('masks')) < masks, true);
    expect(await painted('masks')).toBeGreaterThan(0);
    expect(await painted('boxes')).toBeLessThan(boxes);
    expect((await visit.at('found').getByRole('button').allTextContents()).join()).not.toContain('circle');
  });

  test('are named under the pointer, with their score, and marked in the list', async () => {
    await visit.point(0.23, 0.35);
    expect(plain(await visit.at('tip').textContent())).toMatch(/^Square, \d\d % sure$/);
    expect(plain(await visit.page.locator('.found .lit').textContent())).toMatch(/^square/);
    await visit.point(0.97, 0.03);
    expect(await visit.at('tip').textContent()).toBe('Nothing found here');
    expect(await visit.page.locator('.found .lit').count()).toBe(0);
  });
});
