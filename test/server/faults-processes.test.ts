import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { withChildServer } from './faults-child';
import { type Answer, type Page, post, samplePages, until } from './faults-world';

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
    let answered = 0;
    const early = Array.from({ length: 60 }, async (_, i) => {
      const page = pages[i % pages.length]!;
      expectRight(page, await post(url, page.body));
      answered += 1;
    });
    await until('some answers', () => answered >= 5);
    expect(answered).toBeLessThan(60);
    const told = performance.now();
    child.kill('SIGTERM');
    const late: Answer[] = [];
    // From the moment that it has heard: answers that were on their way before it are of the time before it.
    await until('no longer ready', async () => {
      const ready = await fetch(`${url}/v2/health/ready`).catch(() => undefined);
      return ready?.status !== 200;
    });
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

test('a disk without space for the log changes nothing for the clients', async () => {
  // A device that is always full; systems without one have read-only descriptors, which fail as well.
  const full = existsSync('/dev/full') ? openSync('/dev/full', 'w') : openSync('/dev/null', 'r');
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

/** Processes that a process has started, from Linux's /proc. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
}

test('a worker killed under load: only its own requests fail, all others are answered, and another one takes its place', async () => {
  await withChildServer(['--workers', '2'], async ({ child, url, ended }) => {
    const workers = childrenOf(child.pid!);
    expect(workers).toHaveLength(2);
    let stopped = false;
    const answers: { page: Page; answer: Answer }[] = [];
    const clients = Array.from({ length: 8 }, async (_, i) => {
      for (let turn = i; !stopped; turn += 1) {
        const page = pages[turn % pages.length]!;
        answers.push({ page, answer: await post(url, page.body) });
      }
    });
    await until('load on both', () => answers.length >= 16);
    process.kill(workers[0]!, 'SIGKILL');
    await until('another worker', () => {
      const now = childrenOf(child.pid!);
      return now.length === 2 && !now.includes(workers[0]!) && now.includes(workers[1]!);
    });
    const then = answers.length;
    await until('answers after that', () => answers.length >= then + 16);
    stopped = true;
    await Promise.all(clients);
    const failed = answers.filter(({ answer }) => answer.status === 0);
    for (const { page, answer } of answers) {
      if (answer.status === 0) expect(['ECONNRESET', 'EPIPE']).toContain(answer.failure);
      else expectRight(page, answer);
    }
    // Each client has one request under way, so the killed worker had at most all of them.
    expect(failed.length).toBeLessThanOrEqual(clients.length);
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });
});

test('with several workers, ready means that every connection is served', async () => {
  await withChildServer(['--workers', '2'], async ({ url }) => {
    // Connections of their own, so that both workers get some, if both listen.
    const [page] = pages as [Page];
    for (const answer of await Promise.all(Array.from({ length: 12 }, () => post(url, page.body)))) {
      expectRight(page, answer);
    }
  });
});
