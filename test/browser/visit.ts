import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { findChromium } from '../../scripts/test/chromium.cjs';
import { ROOT } from '../package/commands';

const SCREENSHOTS = join(ROOT, 'build', 'screenshots');

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // A name as on a network without TLS, which browsers trust less than 127.0.0.1.
  '--host-resolver-rules=MAP server.test 127.0.0.1',
];

/** Viewports: the largest and the smallest that are tested. */
export const DESKTOP = { viewport: { width: 1280, height: 860 } } as const;
export const PHONE = {
  viewport: { width: 360, height: 740 },
  deviceScaleFactor: 2,
  hasTouch: true,
  isMobile: true,
} as const;

/** A bundled picture of a model's. */
export const PICTURES = {
  layout: join(ROOT, 'models/layout/val/page_08.png'),
  shapes: join(ROOT, 'models/shapes/val/picture_04.png'),
} as const;

/** A Chromium with an empty profile. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium()!, args: QUIET });
}

/** Somebody looking at the page, and everything that went wrong meanwhile. */
export class Visit {
  readonly page: Page;
  /** Console errors, exceptions, and requests that went elsewhere. */
  readonly problems: string[] = [];

  private constructor(page: Page, url: string) {
    this.page = page;
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.problems.push(message.text());
    });
    page.on('pageerror', ({ message }) => this.problems.push(message));
    page.on('request', (request) => {
      const to = request.url();
      if (!to.startsWith(url) && !to.startsWith(`blob:${url}`)) this.problems.push(`request to ${to}`);
    });
  }

  /** Opens the page in a window of its own; `before` may intercept requests. */
  static async open(
    browser: Browser,
    url: string,
    options: BrowserContextOptions = DESKTOP,
    before: (page: Page) => Promise<unknown> = async () => {},
    path = '/',
  ): Promise<Visit> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    const visit = new Visit(page, url);
    await before(page);
    await page.goto(url + path);
    return visit;
  }

  /** Closes the window, and tells what went wrong that was not expected. */
  async close(expected = /^$/): Promise<string[]> {
    await this.page.context().close();
    return this.problems.filter((problem) => !expected.test(problem));
  }

  at(id: string): Locator {
    return this.page.locator(`#${id}`);
  }

  /** Waits until the result of a picture is shown. */
  async shows(name: string): Promise<void> {
    await this.at('status')
      .filter({ hasText: new RegExp(`^${name}: .*, in `) })
      .waitFor();
  }

  /** Chooses a file, as with the button. */
  async choose(path: string): Promise<void> {
    await this.at('file').setInputFiles(path);
  }

  /** Presses a bundled picture and waits for its result. */
  async sample(name: string): Promise<void> {
    await this.page.locator(`.sample[data-name="${name}"]`).click();
    await this.shows(name);
  }

  /** Runs script text in the page and gives what it evaluates to. */
  evaluate<Value>(script: string): Promise<Value> {
    return this.page.evaluate<Value>(script);
  }

  /** The PNG of a canvas. */
  async canvas(id: string): Promise<Buffer> {
    const url = await this.evaluate<string>(`document.getElementById('${id}').toDataURL('image/png')`);
    return Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');
  }

  /** Moves the mouse over the picture, to parts of its width and height. */
  async point(x: number, y: number): Promise<void> {
    const { left, top } = await this.place(x, y);
    await this.page.mouse.move(left, top);
  }

  /** Where parts of the picture's width and height are in the window. */
  async place(x: number, y: number): Promise<{ left: number; top: number }> {
    const box = (await this.at('stage').boundingBox())!;
    return { left: box.x + box.width * x, top: box.y + box.height * y };
  }

  /** Keeps a screenshot of the whole page in build/screenshots, outside of git. */
  async screenshot(name: string): Promise<void> {
    mkdirSync(SCREENSHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
  }
}

/** Waits until something is as it should be, and fails with what it is instead. */
export async function eventually<Value>(read: () => Promise<Value>, wanted: Value): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (JSON.stringify(await read()) !== JSON.stringify(wanted) && Date.now() < deadline) await delay(50);
  expect(await read()).toEqual(wanted);
}

/** Text with plain spaces, as a test writes it. */
export function plain(text: string | null): string {
  return (text ?? '').replaceAll('\u00a0', ' ').trim();
}
