import { errorOf, held, type Page, post, samplePages, slowPage, until, untilIdle } from './faults-world';
import { withServer } from './run';

let pages: Page[];

beforeAll(async () => {
  pages = await samplePages(4);
});

const MODEL = { name: 'layout', task: 'segment' as const };

test('a full queue answers 429 with Retry-After at once, and what it took is answered rightly', async () => {
  const models = [{ ...MODEL, queue: { length: 8 }, batch: { size: 4, delay: 5 } }];
  await withServer(
    {},
    async ({ server, url }) => {
      const before = held(server);
      const answers = await Promise.all(
        Array.from({ length: 80 }, async (_, i) => {
          const page = pages[i % pages.length]!;
          return { page, answer: await post(url, page.body) };
        }),
      );
      const served = answers.filter(({ answer }) => answer.status === 200);
      const refused = answers.filter(({ answer }) => answer.status === 429);
      expect(served.length + refused.length).toBe(80);
      expect(served.length).toBeGreaterThanOrEqual(8);
      expect(refused.length).toBeGreaterThanOrEqual(1);
      for (const { page, answer } of served) expect(answer.body.equals(page.labels)).toBe(true);
      for (const { answer } of refused) {
        expect(errorOf(answer).code).toBe('ERR_QUEUE_FULL');
        expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      }
      await untilIdle(server, before);
      expect((await post(url, pages[0]!.body)).status).toBe(200);
    },
    { models },
  );
});

test('bytes that wait count as well as images', async () => {
  const [page] = pages as [Page];
  const models = [
    { ...MODEL, queue: { bytes: page.body.length }, batch: { size: 1, delay: 0 }, instances: 1 },
  ];
  await withServer(
    {},
    async ({ server, url }) => {
      const running = post(url, await slowPage(page));
      await until('one image in work', () => held(server).inFlight === 1);
      const waiting = post(url, page.body);
      await until('one image waits', () => held(server).waiting === 1);
      expect((await post(url, page.body)).status).toBe(429);
      expect((await running).status).toBe(200);
      expect((await waiting).body.equals(page.labels)).toBe(true);
    },
    { models },
  );
});

test('what is not done by its deadline gets 504 and its place is free; the others are answered', async () => {
  const models = [{ ...MODEL, batch: { size: 1, delay: 0 }, instances: 1 }];
  await withServer(
    {},
    async ({ server, url }) => {
      const before = held(server);
      const [page] = pages as [Page];
      const running = post(url, await slowPage(page));
      await until('one image in work', () => held(server).inFlight === 1);
      const hurried = Array.from({ length: 5 }, () =>
        post(url, page.body, { path: '/segment?view=labels&timeout=1' }),
      );
      const patient = post(url, page.body);
      for (const answer of await Promise.all(hurried)) {
        expect(answer.status).toBe(504);
        expect(errorOf(answer).code).toBe('ERR_DEADLINE');
      }
      expect((await running).status).toBe(200);
      expect((await patient).body.equals(page.labels)).toBe(true);
      await untilIdle(server, before);
    },
    { models },
  );
});

test('an image in work past its deadline gets 504 and is not answered twice', async () => {
  await withServer({ requestTimeout: 40 }, async ({ server, url }) => {
    const before = held(server);
    const answer = await post(url, await slowPage(pages[0]!));
    expect(answer.status).toBe(504);
    expect(errorOf(answer).code).toBe('ERR_DEADLINE');
    await untilIdle(server, before);
  });
});

test('answers to a hundred requests of four pages are not mixed up', async () => {
  await withServer({}, async ({ server, url }) => {
    const before = held(server);
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const page = pages[(i * 7) % pages.length]!;
        const priority = ['high', 'normal', 'low'][i % 3];
        const { status, body } = await post(url, page.body, {
          path: `/segment?view=labels&priority=${priority}`,
        });
        expect(status).toBe(200);
        expect(body.equals(page.labels)).toBe(true);
      }),
    );
    await untilIdle(server, before);
  });
});
