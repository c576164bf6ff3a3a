import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Route } from 'playwright-core';
import sharp from 'sharp';
import { serve } from './server';
import { PICTURES, plain, startBrowser, Visit } from './visit';

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let visit: Visit;

beforeAll(async () => {
  server = await serve({ bodyLimit: 2_000_000, maxPixels: 1_000_000 });
  browser = await startBrowser();
});
afterAll(async () => {
  await browser.close();
  await server.close();
});
beforeEach(async () => {
  visit = await Visit.open(browser, server.url);
});
// The browser itself writes every bad status to the console.
afterEach(async () => {
  expect(await visit.close(/^Failed to load resource/)).toEqual([]);
});

const alertText = async () => {
  await visit.at('alert').locator('strong').waitFor();
  return plain((await visit.at('alert').locator('*').allTextContents()).join(': '));
};
const given = (name: string, buffer: Buffer, mimeType = 'image/png') =>
  visit.at('file').setInputFiles({ name, mimeType, buffer });
const answer =
  (status: number, code: string, headers: Record<string, string> = {}) =>
  (route: Route) =>
    route.fulfill({ status, headers, json: { error: 'expected better, got this', code, requestId: '1' } });

describe('what cannot be an answer is not even sent', () => {
  beforeEach(async () => {
    await visit.page.route(/\/(segment|detect)\?/, (route) => {
      visit.problems.push(`sent to ${route.request().url()}`);
      return route.abort();
    });
  });

  test('a text file', async () => {
    await given('notes.txt', Buffer.from('these are words and no image'), 'text/plain');
    expect(await alertText()).toBe(
      'That cannot be used: notes.txt is not an image. Choose a JPEG, PNG, WebP, AVIF, GIF or TIFF image.',
    );
    expect(await visit.at('retry').isVisible()).toBe(false);
    await visit.at('dismiss').click();
    expect(await visit.at('alert').textContent()).toBe('');
  });

  test('a file over the limit of the server', async () => {
    await given('large.png', Buffer.concat([readFileSync(PICTURES.layout), Buffer.alloc(2_000_000)]));
    expect(await alertText()).toContain('large.png has 2.1 MB. This server takes images of up to 2 MB.');
  });

  test('an image of too many pixels', async () => {
    const create = { width: 1200, height: 1000, channels: 3, background: '#123456' } as const;
    await given('wide.png', await sharp({ create }).png().toBuffer());
    expect(await alertText()).toContain('wide.png is 1200 × 1000, 1.2 million pixels.');
  });

  test('something that was dragged here and is no file', async () => {
    await visit.evaluate(`{
      const dataTransfer = new DataTransfer();
      dataTransfer.setData('text/uri-list', 'http://example.org/');
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
    }`);
    expect(await alertText()).toContain('That was not a file.');
  });
});

describe('what the server says', () => {
  test('of a TIFF, which this browser cannot show: the result stands on grey', async () => {
    await given('scan.tif', await sharp(PICTURES.layout).tiff().toBuffer(), 'image/tiff');
    await visit.shows('scan.tif');
    expect(await visit.at('photo').isVisible()).toBe(false);
    expect(await visit.at('legend').getByRole('button').count()).toBeGreaterThan(3);
  });

  test('of an image of too many pixels that only it can read', async () => {
    const create = { width: 1200, height: 1000, channels: 3, background: '#123456' } as const;
    const tiff = await sharp({ create }).tiff({ compression: 'deflate' }).toBuffer();
    await given('wide.tif', tiff, 'image/tiff');
    expect(await alertText()).toBe(
      'The image is too big: It has more pixels than this server takes. Choose a smaller one, or scale it down first.',
    );
  });

  test('of a damaged image', async () => {
    const file = join(tmpdir(), `freqfusion-cut-${process.pid}.png`);
    writeFileSync(file, readFileSync(PICTURES.layout).subarray(0, 9000));
    await visit.choose(file);
    expect(await alertText()).toContain('The image is damaged');
  });

  test('in plain words, and the result before stays', async () => {
    await visit.sample('page_08.png');
    for (const [status, code, title, retry] of [
      [413, 'ERR_BODY_TOO_LARGE', 'The image is too big', false],
      [415, 'ERR_IMAGE_FORMAT', 'This file cannot be read', false],
      [503, 'ERR_OVERLOADED', 'The server has no room', true],
      [504, 'ERR_DEADLINE', 'It took too long', true],
      [500, 'ERR_INTERNAL', 'Something went wrong on the server', true],
    ] as const) {
      await visit.page.route('**/segment?*', answer(status, code), { times: 1 });
      await visit.page.locator('.sample[data-name="page_20.png"]').click();
      await visit.at('alert').filter({ hasText: title }).waitFor();
      expect(await visit.at('retry').isVisible()).toBe(retry);
      expect(await visit.at('status').textContent()).toBe('Still showing page_08.png.');
      expect(await visit.at('photo').getAttribute('alt')).toBe('page_08.png');
      expect(await visit.at('panel').isVisible()).toBe(true);
    }
  });

  test('when it is busy: a countdown, then the button tries again', async () => {
    await visit.page.route('**/segment?*', answer(429, 'ERR_QUEUE_FULL', { 'retry-after': '2' }), {
      times: 1,
    });
    await visit.choose(PICTURES.layout);
    expect(await alertText()).toContain('The server is busy');
    expect(await visit.at('retry').textContent()).toBe('Try again in 2 s');
    expect(await visit.at('retry').isDisabled()).toBe(true);
    await visit.screenshot('busy');
    await visit.page.locator('#retry:not([disabled])').click();
    await visit.shows('page_08.png');
    expect(await visit.at('alert').textContent()).toBe('');
  });

  test('when it sends what is no answer', async () => {
    await visit.page.route('**/segment?*', (route) =>
      route.fulfill({ body: '<p>', contentType: 'text/html' }),
    );
    await visit.choose(PICTURES.layout);
    expect(await alertText()).toContain('The answer cannot be read');
  });

  test('when it wants a key: the page asks for it once, and keeps it in the tab', async () => {
    const key = 'a-key-of-twenty-chars';
    const locked = await serve({ apiKeys: [key] }, [{ name: 'layout', task: 'segment' }]);
    const open = visit;
    visit = await Visit.open(browser, locked.url);
    expect(await alertText()).toContain('This server needs a key');
    expect(await visit.evaluate('document.activeElement.id')).toBe('key');
    await visit.page.keyboard.type('a-wrong-key-altogether');
    await visit.page.keyboard.press('Enter');
    await visit.at('alert').filter({ hasText: 'needs a key' }).waitFor();
    await visit.at('key').fill(key);
    await visit.page.keyboard.press('Enter');
    await visit.at('key-form').waitFor({ state: 'hidden' });
    await visit.sample('page_08.png');
    await visit.page.reload();
    await visit.sample('page_08.png');
    expect(await visit.at('key-form').isVisible()).toBe(false);
    expect(await visit.close(/^Failed to load resource/)).toEqual([]);
    await locked.close();
    visit = open;
  });
});

test('a model that is not ready is named as such, and is there once it has been loaded', async () => {
  let ready = false;
  await visit.page.route('**/v2/models', async (route) => {
    const response = await route.fetch();
    const { models } = (await response.json()) as { models: { name: string }[] };
    const loading = { ready: false, state: 'loading' };
    const told = models.map((model) => (ready || model.name !== 'shapes' ? model : { ...model, ...loading }));
    await route.fulfill({ response, json: { models: told } });
  });
  await visit.page.route('**/detect?*', answer(503, 'ERR_MODEL_NOT_READY', { 'retry-after': '1' }), {
    times: 1,
  });
  await visit.page.reload();
  const option = visit.page.locator('#model option[value="shapes"]');
  await option.filter({ hasText: 'shapes (loading)' }).waitFor({ state: 'attached' });
  await visit.page.locator('.sample[data-name="picture_04.png"]').click();
  expect(await alertText()).toContain('The model is not ready yet');
  ready = true;
  await option.filter({ hasText: /^shapes$/ }).waitFor({ state: 'attached' });
  expect(await visit.at('model').inputValue()).toBe('shapes');
  await visit.page.locator('#retry:not([disabled])').click();
  await visit.shows('picture_04.png');
});

test('a server that is gone can be tried again when it is back', async () => {
  await visit.sample('page_08.png');
  await visit.page.context().setOffline(true);
  await visit.choose(PICTURES.layout);
  expect(await alertText()).toBe(
    'The server cannot be reached: Check your connection and that the server is running, then try again.',
  );
  await visit.page.context().setOffline(false);
  await visit.at('retry').click();
  await visit.shows('page_08.png');
});

test('a server that has ended is told from one that is busy', async () => {
  const short = await serve({}, [{ name: 'layout', task: 'segment' }]);
  const gone = await Visit.open(browser, short.url);
  await gone.sample('page_08.png');
  await short.close();
  await gone.choose(PICTURES.shapes);
  await gone.at('alert').filter({ hasText: 'The server cannot be reached' }).waitFor();
  expect(await gone.at('panel').isVisible()).toBe(true);
  expect(await gone.close(/^Failed to load resource/)).toEqual([]);
});
