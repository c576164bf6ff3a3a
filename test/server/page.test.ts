import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../package/commands';
import { send, textOf, withServer } from './run';

const KEY = 'a-key-of-some-length';

describe('the page', () => {
  test('is at /, may do nothing but what it needs, and needs no key', async () => {
    await withServer({ apiKeys: [KEY] }, async ({ url }) => {
      const response = await fetch(`${url}/`);
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        'text/html; charset=utf-8',
      ]);
      expect(response.headers.get('content-security-policy')).toMatch(
        /default-src 'none';script-src 'self';style-src 'self';/,
      );
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      const html = await response.text();
      // No inline script, style, or other host.
      expect(html).not.toMatch(/<script(?![^>]* src=)|<style|style=|\son\w+=|https?:/);
      const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
      expect(new Set(links)).toEqual(new Set(links.filter((link) => link.startsWith('page/'))));
      const types = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
      for (const link of links) {
        const file = await fetch(`${url}/${link}`);
        const type = types[link.split('.').at(-1) as keyof typeof types];
        expect([link, file.status]).toEqual([link, 200]);
        expect(file.headers.get('content-type')).toContain(type);
      }
    });
  });

  test('is asked for anew each time, which costs nothing while it is the same', async () => {
    await withServer({}, async ({ url }) => {
      for (const path of ['/', '/page/main.js', '/page/theme.css']) {
        const first = await fetch(url + path);
        const etag = first.headers.get('etag')!;
        expect([etag, first.headers.get('cache-control')]).toEqual([
          expect.stringMatching(/^"[\w-]{22}"$/),
          'no-cache',
        ]);
        const second = await fetch(url + path, { headers: { 'if-none-match': `"other", W/${etag}` } });
        expect([second.status, await second.text()]).toEqual([304, '']);
        const third = await fetch(url + path, { headers: { 'if-none-match': '"other"' } });
        expect(third.status).toBe(200);
      }
    });
  });

  test('is told the limits of the server', async () => {
    await withServer({ bodyLimit: 12_345, maxPixels: 678 }, async ({ url }) => {
      const response = await fetch(`${url}/page/settings.json`);
      expect(await response.json()).toEqual({ bodyLimit: 12_345, maxPixels: 678 });
    });
  });

  test('can be left out', async () => {
    await withServer({ page: false }, async ({ url }) => {
      for (const path of ['/', '/page/main.js', '/page/settings.json', '/samples', '/samples/page_08.png']) {
        expect([path, (await fetch(url + path)).status]).toEqual([path, 404]);
      }
    });
  });
});

describe('samples', () => {
  test('are the bundled pictures, byte for byte, with their sizes', async () => {
    await withServer({ apiKeys: [KEY] }, async ({ url }) => {
      const list = (await (await fetch(`${url}/samples`)).json()) as Record<string, string>[];
      expect(list).toHaveLength(8);
      expect(list[0]).toEqual({
        name: 'page_08.png',
        url: '/samples/page_08.png',
        title: 'Page with code, a diagram and a table',
        width: 452,
        height: 640,
        task: 'segment',
      });
      for (const { name, url: path, task } of list) {
        const response = await fetch(url + path);
        expect(response.headers.get('cache-control')).toBe('public, max-age=86400');
        const folder = task === 'segment' ? 'layout' : 'shapes';
        const file = readFileSync(join(ROOT, 'models', folder, 'val', name!));
        expect(Buffer.from(await response.arrayBuffer()).equals(file)).toBe(true);
      }
    });
  });

  test('are these alone: no path of a request is ever opened', async () => {
    await withServer({}, async ({ port }) => {
      for (const path of [
        '/samples/page_00.png',
        '/samples/../config.json',
        '/samples/..%2f..%2fconfig.json',
        '/samples/%2e%2e/reference.json',
        '/page/index.html',
        '/page/../server.js',
        '/page/%2e%2e%2fserver.js',
        '/page/..\\server.js',
        '//etc/passwd',
        '/page/main.js%00.css',
      ]) {
        const socket = send(port, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
        expect([path, (await textOf(socket)).split('\r\n')[0]]).toEqual([
          path,
          expect.stringMatching(/^HTTP\/1\.1 40[04] /),
        ]);
      }
    });
  });
});
