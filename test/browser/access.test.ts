import { readFileSync } from 'node:fs';
import type { Browser, BrowserContextOptions, FileChooser } from 'playwright-core';
import { serve } from './server';
import { DESKTOP, PHONE, plain, startBrowser, Visit } from './visit';

const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let visit: Visit;

beforeAll(async () => {
  server = await serve();
  browser = await startBrowser();
});
afterAll(async () => {
  await browser.close();
  await server.close();
});
afterEach(async () => {
  expect(await visit.close(/^Failed to load resource/)).toEqual([]);
});

/** What axe-core finds wrong with the page as it is: rules with the elements that break them. */
async function violations(): Promise<string[]> {
  await visit.evaluate(`${AXE}; undefined`);
  return visit.evaluate<string[]>(`axe.run(document).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ': ' + html)))`);
}

const focused = () =>
  visit.evaluate<string>(`(() => {
  const { id, dataset, className, textContent } = document.activeElement;
  return id || dataset.name || className || textContent;
})()`);
const press = async (...keys: string[]) => {
  for (const key of keys) await visit.page.keyboard.press(key);
};

describe.each([
  ['desktop, light', DESKTOP, 'light'],
  ['desktop, dark', DESKTOP, 'dark'],
  ['phone, light', PHONE, 'light'],
  ['phone, dark', PHONE, 'dark'],
] as const)('%s', (name, device, colorScheme) => {
  const file = name.replace(', ', '-');

  test('axe-core finds nothing wrong, empty, with results, and with an alert; nothing is cut off', async () => {
    visit = await Visit.open(browser, server.url, { ...device, colorScheme } as BrowserContextOptions);
    const check = async (state: string) => {
      expect(await violations()).toEqual([]);
      const wide = await visit.evaluate<number>('document.documentElement.scrollWidth');
      expect(wide).toBeLessThanOrEqual(device.viewport.width);
      await visit.screenshot(`${file}-${state}`);
    };
    await visit.page.locator('.sample').nth(7).waitFor();
    await check('empty');
    await visit.sample('page_08.png');
    await visit.at('legend').getByRole('button', { name: 'figure' }).click();
    await check('segmentation');
    await visit.sample('picture_04.png');
    await visit.at('wipe').fill('35');
    await visit.point(0.55, 0.25);
    await check('detections');
    await visit.page.route('**/detect?*', (route) =>
      route.fulfill({ status: 429, headers: { 'retry-after': '30' }, json: { code: 'ERR_QUEUE_FULL' } }),
    );
    await visit.page.locator('.sample[data-name="picture_06.png"]').click();
    await visit.at('alert').locator('strong').waitFor();
    await check('busy');
  });
});

test('everything can be done by keyboard, in the order of the page', async () => {
  visit = await Visit.open(browser, server.url);
  await visit.page.locator('#model:not([disabled])').waitFor();
  const order: string[] = [];
  for (let i = 0; i < 3; i++) {
    await press('Tab');
    order.push(await focused());
  }
  expect(order).toEqual(['model', 'file', 'page_08.png']);
  await press('Enter');
  await visit.shows('page_08.png');
  // The focus stays where it was, and the picture comes before the samples.
  await press('Shift+Tab');
  expect(await focused()).toBe('stage');
  expect(await visit.at('probe').isVisible()).toBe(false);
  await press('ArrowDown', 'ArrowDown', 'Shift+ArrowDown', 'Shift+ArrowDown', 'Shift+ArrowDown');
  await visit.at('spoken').filter({ hasText: 'table, ' }).waitFor();
  expect(await visit.at('probe').isVisible()).toBe(true);
  await press('Escape');
  expect(await visit.at('tip').isVisible()).toBe(false);

  await press(...new Array(9).fill('Tab'));
  expect(await focused()).toBe('opacity');
  await press('ArrowRight', 'ArrowRight');
  expect(await visit.at('opacity').getAttribute('aria-valuetext')).toBe('62 %');
  await press('Tab', 'End');
  expect(await visit.at('wipe').getAttribute('aria-valuetext')).toBe('all original');
  await press('Home', 'Tab');
  expect(await focused()).toBe('show-all');
  await press('Tab', 'Space');
  const first = visit.at('legend').getByRole('button').first();
  expect(await first.getAttribute('aria-pressed')).toBe('false');
  await press('Tab', 'Tab', 'Tab', 'Tab', 'Tab');
  expect(await focused()).toBe('download-png');
  const [saved] = await Promise.all([visit.page.waitForEvent('download'), press('Tab', 'Enter')]);
  expect(saved.suggestedFilename()).toBe('page_08-answer.json');
});

test('the file button opens by keyboard', async () => {
  // Listened for before the page is there: the browser must know that nobody sees its dialogue.
  let opened: Promise<FileChooser>;
  visit = await Visit.open(browser, server.url, DESKTOP, async (page) => {
    opened = page.waitForEvent('filechooser');
  });
  await visit.at('file').focus();
  await press('Enter');
  expect((await opened!).isMultiple()).toBe(false);
});

test('a screen reader has names, roles and states for everything', async () => {
  visit = await Visit.open(browser, server.url);
  await visit.sample('picture_04.png');
  const { page } = visit;
  for (const [role, name] of [
    ['combobox', 'Model'],
    ['application', 'Result'],
    ['slider', 'Overlay opacity'],
    ['slider', 'Before and after'],
    ['slider', 'Least score'],
    ['button', 'Shapes on a dark checkerboard'],
    ['button', 'PNG picture'],
    ['button', 'JSON answer'],
    ['region', 'Image'],
    ['complementary', 'Result'],
  ] as const) {
    expect([name, await page.getByRole(role, { name, exact: true }).count()]).toEqual([name, 1]);
  }
  expect(await page.getByLabel('Choose an image').getAttribute('type')).toBe('file');
  expect(await page.getByRole('status').textContent()).toContain('6 objects');
  expect(await page.getByRole('alert').count()).toBe(1);
});

test('a finger reads the picture too, and what it says stands above the finger', async () => {
  visit = await Visit.open(browser, server.url, PHONE);
  expect(await visit.page.getByText('Look at a photo').isVisible()).toBe(true);
  await visit.sample('picture_04.png');
  await visit.at('stage').scrollIntoViewIfNeeded();
  const { left, top } = await visit.place(0.35, 0.8);
  await visit.page.touchscreen.tap(left, top);
  expect(plain(await visit.at('tip').textContent())).toMatch(/^Star, \d\d % sure$/);
  const tip = (await visit.at('tip').boundingBox())!;
  expect(tip.y + tip.height).toBeLessThan(top);
});

test('nothing moves where that is not wanted', async () => {
  visit = await Visit.open(browser, server.url, { ...DESKTOP, reducedMotion: 'reduce' });
  const animation = () =>
    visit.evaluate<string>(`getComputedStyle(document.getElementById('busy')).animationName`);
  expect(await animation()).toBe('none');
  await visit.page.emulateMedia({ reducedMotion: 'no-preference' });
  expect(await animation()).toBe('turn');
});
