import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withChildServer } from './faults-child';
import { type Answer, type Page, post, samplePages } from './faults-world';

let pages: Page[];

beforeAll(async () => {
  pages = await samplePages(3);
});

function expectRight(page: Page, answer: Answer): void {
  expect(answer.status).toBe(200);
  expect(answer.body.equals(page.labels)).toBe(true);
}

test('SIGTERM under load: what was taken is answered, what comes later refused, and the end is 0', async () => {
  await withChildServer([], async ({ child, url, ended }) => {
    // Long enough a queue that it takes a while to answer all of it.
    const early = Array.from({ length: 40 }, (_, i) => {
      const page = pages[i % pages.length]!;
      return post(url, page.body).then((answer) => expectRight(page, answer));
    });
    const first = post(url, pages[0]!.body);
    await first;
    const told = performance.now();
    child.kill('SIGTERM');
    await sleep(200);
    const late: Answer[] = [];
    while ((await Promise.race([ended, sleep(50).then(() => 'on')])) === 'on') {
      late.push(await post(url, pages[0]!.body));
    }
    await Promise.all(early);
    expect(late.length).toBeGreaterThan(0);
    for (const { status, failure } of late) {
      if (status === 0) expect(['ECONNREFUSED', 'ECONNRESET', 'EPIPE']).toContain(failure);
      else expect(status).toBe(503);
    }
    expect(await ended).toBe(0);
    // The default of shutdownTimeout.
    expect(performance.now() - told).toBeLessThan(30_000);
  });
});

const onLinux = process.platform === 'linux' ? test : test.failing;

onLinux('a disk without space for the log changes nothing for the clients', async () => {
  const full = openSync('/dev/full', 'w');
  try {
    await withChildServer(
      [],
      async ({ child, url, output, ended }) => {
        for (let i = 0; i < 20; i += 1) {
          const page = pages[i % pages.length]!;
          expectRight(page, await post(url, page.body));
        }
        expect((await post(url, Buffer.from('no image'))).status).toBe(415);
        expect(output()).not.toMatch(/at .*\.js:\d+/);
        child.kill('SIGTERM');
        expect(await ended).toBe(0);
      },
      { stdout: full },
    );
  } finally {
    closeSync(full);
  }
});
