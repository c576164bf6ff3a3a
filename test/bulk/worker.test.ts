import { join } from 'node:path';
import { BulkWorker, deadLetters, runStatus, submitRun, type WorkEvent, workRuns } from '../../lib/bulk';
import { computeJob } from '../../lib/bulk/compute';
import { FreqFusionError, OutOfMemoryError } from '../../lib/errors';
import { inFolder } from '../cli/run';
import { filesOf, makePages, RedisServer } from './world';

jest.mock('../../lib/bulk/compute', () => {
  const actual = jest.requireActual('../../lib/bulk/compute');
  return { ...actual, computeJob: jest.fn(actual.computeJob) };
});
jest.setTimeout(120_000);

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.remove());

beforeEach(() => server.ask((redis) => redis.flushall()));

/** A run of pages, in the queue. */
async function submit(folder: string, count: number) {
  const names = await makePages(join(folder, 'in'), count);
  return submitRun({
    redis: server.url,
    jobs: names.map((name) => ({ image: join(folder, 'in', name), output: join(folder, 'out', name) })),
    options: { task: 'segment', format: 'labels' },
    backoff: 1,
    chunk: 2,
  });
}

describe('a worker in a program', () => {
  it('says what it does, and what it did', async () => {
    await inFolder(async (folder) => {
      const { run } = await submit(folder, 3);
      const events: WorkEvent[] = [];
      const onEvent = (event: WorkEvent) => void events.push(event);
      const summary = await workRuns({ redis: server.url, once: true, onEvent });
      expect(summary).toEqual({ done: 3, skipped: 0, dead: 0 });
      expect(events.map(({ type }) => type)).toEqual(['done', 'done', 'done']);
      expect(Object.keys(filesOf(join(folder, 'out')))).toEqual(['p00.png', 'p01.png', 'p02.png']);
      const [status] = await runStatus({ redis: server.url });
      expect(status).toMatchObject({ run, task: 'segment', format: 'labels', total: 3, done: 3 });
    });
  });

  it('gives an image back and ends where it cannot go on', async () => {
    await inFolder(async (folder) => {
      await submit(folder, 3);
      const lost = new FreqFusionError('ERR_CUDA_DEVICE_LOST', 'the GPU failed');
      jest.mocked(computeJob).mockRejectedValueOnce(lost);
      const worker = await BulkWorker.start({ redis: server.url, concurrency: 1 });
      await expect(worker.ended()).rejects.toBe(lost);
      const [status] = await runStatus({ redis: server.url });
      expect(status).toMatchObject({ total: 3, waiting: 3, active: 0, delayed: 0, done: 0, dead: 0 });
    });
  });

  it('tries an image again for which there was no memory', async () => {
    await inFolder(async (folder) => {
      await submit(folder, 1);
      const full = new OutOfMemoryError('ERR_OUT_OF_MEMORY', 'no memory');
      jest.mocked(computeJob).mockRejectedValueOnce(full);
      const events: WorkEvent[] = [];
      const onEvent = (event: WorkEvent) => void events.push(event);
      expect(await workRuns({ redis: server.url, once: true, onEvent })).toEqual({
        done: 1,
        skipped: 0,
        dead: 0,
      });
      expect(events).toEqual([
        expect.objectContaining({ type: 'failed', code: 'ERR_OUT_OF_MEMORY', dead: false }),
        expect.objectContaining({ type: 'done' }),
      ]);
      expect(await deadLetters({ redis: server.url })).toEqual([]);
    });
  });

  it('drains at its signal', async () => {
    await inFolder(async (folder) => {
      await submit(folder, 4);
      const controller = new AbortController();
      const onEvent = () => controller.abort();
      const { signal } = controller;
      const { done } = await workRuns({ redis: server.url, concurrency: 1, signal, onEvent });
      const [status] = await runStatus({ redis: server.url });
      expect(status).toMatchObject({ done, waiting: 4 - done, active: 0 });
      expect(done).toBeLessThan(4);
    });
  });

  it.each([
    [{ concurrency: 0 }, 'ERR_RANGE'],
    [{ lockSeconds: 0 }, 'ERR_RANGE'],
    [{ queue: 'a:b' }, 'ERR_OPTION_VALUE'],
    [{ redis: 'nowhere' }, 'ERR_REDIS_URL'],
  ])('refuses %j', async (options, code) => {
    await expect(BulkWorker.start({ redis: server.url, ...options })).rejects.toMatchObject({ code });
  });
});
