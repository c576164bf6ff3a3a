import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { serve } from './server';
import { DESKTOP, PICTURES, plain, startBrowser, Visit } from './visit';

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
beforeEach(async () => {
  visit = await Visit.open(browser, server.url);
});
afterEach(async () => {
  expect(await visit.close()).toEqual([]);
});

/** Script text that makes a DataTransfer with a file. */
const transfer = (path: string, name: string) => `(() => {
  const bytes = Uint8Array.from(atob('${readFileSync(path).toString('base64')}'), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], '${name}', { type: 'image/png' }));
  return data;
})()`;

test('a chosen file is shown with what the first model makes of it', async () => {
  await visit.choose(PICTURES.layout);
  await visit.shows('page_08.png');
  expect(await visit.at('drop').isVisible()).toBe(false);
  expect(await visit.at('photo').getAttribute('alt')).toBe('page_08.png');
  expect(plain(await visit.at('status').textContent())).toMatch(
    /^page_08\.png: background 5\d %, text \d\d %, table \d\d %, in [\d.]+ m?s\.$/,
  );
});

test('a sample brings the model that it was made for', async () => {
  await visit.sample('picture_04.png');
  expect(await visit.at('model').inputValue()).toBe('shapes');
  expect(await visit.page.locator('.sample[aria-pressed="true"]').getAttribute('data-name')).toBe(
    'picture_04.png',
  );
  await visit.sample('page_11.png');
  expect(await visit.at('model').inputValue()).toBe('layout');
  expect(await visit.at('found-card').isVisible()).toBe(false);
});

test('a file can be dropped anywhere on the page', async () => {
  await visit.evaluate(`{
    const dataTransfer = ${transfer(PICTURES.layout, 'dropped.png')};
    const fire = (type) => document.querySelector('header').dispatchEvent(
      new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    fire('dragenter');
    window.curtainWas = document.getElementById('curtain').hidden;
    fire('drop');
  }`);
  await visit.shows('dropped.png');
  expect(await visit.evaluate('window.curtainWas')).toBe(false);
  expect(await visit.at('curtain').isVisible()).toBe(false);
});

test('an image can be pasted', async () => {
  await visit.evaluate(`document.body.dispatchEvent(new ClipboardEvent('paste', {
    clipboardData: ${transfer(PICTURES.shapes, 'pasted.png')}, bubbles: true, cancelable: true }))`);
  await visit.shows('pasted.png');
});

test('another model looks at the same picture', async () => {
  await visit.choose(PICTURES.shapes);
  await visit.shows('picture_04.png');
  expect(await visit.at('threshold').isVisible()).toBe(false);
  await visit.at('model').selectOption('shapes');
  await visit.at('status').filter({ hasText: '6 objects' }).waitFor();
  expect(await visit.at('threshold').isVisible()).toBe(true);
  expect(await visit.at('found').getByRole('button').count()).toBe(6);
});

test('a newer picture wins over one that is still being looked at', async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await visit.page.route('**/segment?*', async (route) => {
    await held;
    await route.continue().catch(() => {});
  });
  await visit.page.locator('.sample[data-name="page_20.png"]').click();
  await visit.at('status').filter({ hasText: 'Looking at page_20.png with layout' }).waitFor();
  await visit.sample('picture_03.png');
  release();
  await visit.page.waitForTimeout(300);
  expect(await visit.at('status').textContent()).toContain('picture_03.png');
});

test('waiting can be cancelled', async () => {
  await visit.page.route('**/segment?*', () => {});
  await visit.choose(PICTURES.layout);
  await visit.at('cancel').click();
  expect(await visit.at('status').textContent()).toBe('Cancelled.');
  expect(await visit.at('busy').isVisible()).toBe(false);
});

test('the page works under the path that a proxy gives it', async () => {
  const proxy = createServer((asked, answer) => {
    const path = /^\/deep\/down(\/.*)$/.exec(asked.url!)?.[1];
    if (path === undefined) {
      answer.writeHead(404).end();
      return;
    }
    const { method, headers } = asked;
    asked.pipe(
      request(server.url + path, { method, headers }, (given) => {
        answer.writeHead(given.statusCode!, given.headers);
        given.pipe(answer);
      }),
    );
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => proxy.once('listening', resolve));
  const { port } = proxy.address() as AddressInfo;
  const proxied = await Visit.open(
    browser,
    `http://127.0.0.1:${port}`,
    DESKTOP,
    async () => {},
    '/deep/down/',
  );
  await proxied.sample('picture_04.png');
  expect(await proxied.close()).toEqual([]);
  proxy.closeAllConnections();
  await new Promise((resolve) => proxy.close(resolve));
});

test('the page works on a network without TLS, where browsers allow less', async () => {
  const there = await Visit.open(browser, server.url.replace('127.0.0.1', 'server.test'));
  expect(await there.evaluate('isSecureContext')).toBe(false);
  await there.sample('page_08.png');
  expect(await there.close()).toEqual([]);
});
