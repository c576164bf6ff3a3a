import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { cli, inFolder } from '../cli/run';
import { filesOf, makePages, QUICK, RedisServer, until, WorkerProcess } from './world';

jest.setTimeout(180_000);

const PAGES = 24;
const KEYS = '{freqfusion}.run:images:r';

/** Pages in a folder, what segment writes of them, and a run of them in the queue. */
async function prepare(
  server: RedisServer,
  folder: string,
): Promise<{ out: string; expected: Record<string, string> }> {
  await makePages(join(folder, 'in'), PAGES, 320);
  const out = join(folder, 'out');
  await cli(['segment', join(folder, 'in'), '-o', join(folder, 'expected'), '--format', 'labels']);
  const { code } = await server.jobs(
    'submit',
    join(folder, 'in'),
    '-o',
    out,
    '--format',
    'labels',
    '--name',
    'r',
  );
  expect(code).toBe(0);
  return { out, expected: filesOf(join(folder, 'expected')) };
}

async function counts(server: RedisServer) {
  const { stdout } = await server.jobs('status', 'r', '--json');
  return JSON.parse(stdout).runs[0];
}

/** How often every job was begun. */
function starts(server: RedisServer): Promise<number[]> {
  return server.ask(async (redis) => {
    const ids = await redis.smembers(`${KEYS}:ids`);
    return Promise.all(ids.map(async (id) => Number(await redis.hget(`{freqfusion}:images:${id}`, 'ats'))));
  });
}

describe('jobs that something happens to', () => {
  let server: RedisServer;

  beforeEach(async () => {
    // Every write on the disk before it is answered: what a server does that may be started again.
    server = await RedisServer.start(['--save', '', '--appendonly', 'yes', '--appendfsync', 'always']);
  });

  afterEach(() => server.remove());

  it('loses nothing and counts nothing twice where one of two workers is killed', async () => {
    await inFolder(async (folder) => {
      const { out, expected } = await prepare(server, folder);
      const [victim, other] = [1, 2].map(
        () => new WorkerProcess(server, ...QUICK, '--once', '--threads', '1'),
      );
      await victim!.hasDone(1);
      victim!.child.kill('SIGKILL');
      expect(await victim!.ended).toBe('SIGKILL');
      expect(await other!.ended).toBe(0);
      expect(filesOf(out)).toEqual(expected);
      expect(await counts(server)).toMatchObject({
        total: PAGES,
        done: PAGES,
        waiting: 0,
        active: 0,
        dead: 0,
      });
      expect(await server.ask((redis) => redis.llen(`${KEYS}:times`))).toBe(PAGES);
      // It had images on their way: they were begun again.
      expect(Math.max(...(await starts(server)))).toBeGreaterThan(1);
    });
  });

  it('does not compute again what was written and not yet acknowledged', async () => {
    await inFolder(async (folder) => {
      const { out, expected } = await prepare(server, folder);
      await new WorkerProcess(server, '--once').ended;
      // As if the worker had been killed between its output and BullMQ's acknowledgement.
      await server.ask(async (redis) => {
        const [id] = await redis.smembers(`${KEYS}:done`);
        const job = `{freqfusion}:images:${id}`;
        await redis.zrem('{freqfusion}:images:completed', id!);
        await redis.hdel(job, 'finishedOn', 'processedOn', 'returnvalue');
        await redis.lpush('{freqfusion}:images:wait', id!);
        await redis.zadd('{freqfusion}:images:marker', 0, '0');
      });
      const again = new WorkerProcess(server, '--once');
      expect(await again.ended).toBe(0);
      expect(again.stdout).toMatch(/there already\n0 images in .*, 1 skipped\n$/);
      expect(filesOf(out)).toEqual(expected);
      expect(await counts(server)).toMatchObject({ total: PAGES, done: PAGES });
    });
  });

  it('goes on where Redis is started again', async () => {
    await inFolder(async (folder) => {
      const { out, expected } = await prepare(server, folder);
      const worker = new WorkerProcess(server, '--once');
      await worker.hasDone(1);
      await server.stop();
      await worker.says('went away');
      await server.run();
      expect(await worker.ended).toBe(0);
      const [lost, back] = ['went away', 'is back'].map((words) => worker.stderr.split(words).length - 1);
      expect({ lost, back, stderr: worker.stderr }).toMatchObject({ lost: 1, back: 1 });
      expect(filesOf(out)).toEqual(expected);
      expect(await counts(server)).toMatchObject({
        total: PAGES,
        done: PAGES,
        waiting: 0,
        active: 0,
        dead: 0,
      });
    });
  });

  it('ends what it computes at SIGTERM, leaves the rest to others, and exits with 0', async () => {
    await inFolder(async (folder) => {
      const { out, expected } = await prepare(server, folder);
      const worker = new WorkerProcess(server, '--threads', '1');
      await worker.hasDone(1);
      worker.child.kill('SIGTERM');
      expect(await worker.ended).toBe(0);
      const left = await counts(server);
      expect(left).toMatchObject({
        done: worker.done,
        waiting: PAGES - worker.done,
        active: 0,
        delayed: 0,
        dead: 0,
      });
      expect(left.waiting).toBeGreaterThan(0);
      expect(Object.keys(filesOf(out))).toHaveLength(worker.done);
      expect(await new WorkerProcess(server, '--once').ended).toBe(0);
      expect(filesOf(out)).toEqual(expected);
      expect(Math.max(...(await starts(server)))).toBe(1);
    });
  });

  it('ends at SIGTERM while Redis is away, and what it computed then is there', async () => {
    await inFolder(async (folder) => {
      const { out, expected } = await prepare(server, folder);
      const worker = new WorkerProcess(server, '--threads', '1');
      await worker.hasDone(1);
      await server.stop();
      await worker.says('went away');
      worker.child.kill('SIGTERM');
      expect(await worker.ended).toBe(0);
      const written = filesOf(out);
      expect(expected).toMatchObject(written);
      expect(Object.keys(written).length).toBeGreaterThan(0);
      await server.run();
      expect(await new WorkerProcess(server, ...QUICK, '--once').ended).toBe(0);
      expect(filesOf(out)).toEqual(expected);
      expect(await counts(server)).toMatchObject({ total: PAGES, done: PAGES, active: 0, dead: 0 });
    });
  });

  it('ends at once at a second signal, and the job is taken again', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 1, 2000);
      const out = join(folder, 'out');
      await server.jobs('submit', join(folder, 'in'), '-o', out, '--format', 'labels', '--name', 'r');
      const worker = new WorkerProcess(server, ...QUICK, '--threads', '1');
      await until(async () => (await server.ask((redis) => redis.llen('{freqfusion}:images:active'))) === 1);
      worker.child.kill('SIGINT');
      await worker.says('once more ends at once');
      worker.child.kill('SIGINT');
      expect(await worker.ended).toBe(130);
      expect(await counts(server)).toMatchObject({ done: 0, active: 1 });
      expect(await new WorkerProcess(server, ...QUICK, '--once').ended).toBe(0);
      expect(await counts(server)).toMatchObject({ done: 1, active: 0 });
      expect(Object.keys(filesOf(out))).toEqual(['p00.png']);
    });
  });

  it('gives an image up that its workers die of', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 1, 2000);
      await server.jobs('submit', join(folder, 'in'), '-o', join(folder, 'out'), '--name', 'r');
      const active = async () =>
        (await server.ask((redis) => redis.llen('{freqfusion}:images:active'))) === 1;
      const victim = new WorkerProcess(server, ...QUICK, '--threads', '1');
      await until(active);
      victim.child.kill('SIGKILL');
      await victim.ended;
      const last = new WorkerProcess(server, ...QUICK, '--once', '--max-stalls', '0');
      expect(await last.ended).toBe(1);
      const { deadLetters } = await counts(server);
      expect(deadLetters).toEqual([expect.objectContaining({ code: 'ERR_JOBS_STALLED' })]);
      // Retried, it has its chances again.
      expect((await server.jobs('retry', 'r')).stdout).toBe('1 image put back\n');
      expect(await new WorkerProcess(server, ...QUICK, '--once', '--max-stalls', '0').ended).toBe(0);
      rmSync(join(folder, 'out'), { recursive: true });
      expect(await counts(server)).toMatchObject({ done: 1, dead: 0 });
    });
  });
});
