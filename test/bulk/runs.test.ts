import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cli, inFolder, ROOT } from '../cli/run';
import { filesOf, makePages, RedisServer } from './world';

jest.setTimeout(180_000);

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start();
});

afterAll(() => server.remove());

beforeEach(() => server.ask((redis) => redis.flushall()));

async function status(run: string) {
  const { stdout } = await server.jobs('status', run, '--json');
  return JSON.parse(stdout).runs[0];
}

describe('freqfusion jobs', () => {
  it('writes what segment writes, and counts it', async () => {
    await inFolder(async (folder) => {
      const names = await makePages(join(folder, 'in'), 6);
      const [expected, out] = [join(folder, 'expected'), join(folder, 'made', 'out')];
      await cli(['segment', join(folder, 'in'), '-o', expected, '--format', 'labels']);
      const submitted = await server.jobs(
        'submit',
        join(folder, 'in'),
        '-o',
        out,
        '--format',
        'labels',
        '--name',
        'a',
      );
      expect(submitted).toMatchObject({ code: 0, stderr: '', stdout: 'a: 6 of 6 images added\n' });
      expect(await status('a')).toMatchObject({
        total: 6,
        waiting: 6,
        active: 0,
        done: 0,
        dead: 0,
        secondsLeft: null,
      });
      const worked = await server.jobs('work', '--once', '--json');
      expect(worked).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(worked.stdout)).toMatchObject({ done: 6, skipped: 0, dead: 0 });
      expect(Object.keys(filesOf(out))).toEqual(names);
      expect(filesOf(out)).toEqual(filesOf(expected));
      expect(await status('a')).toMatchObject({ total: 6, waiting: 0, done: 6, dead: 0, secondsLeft: 0 });
    });
  });

  it('adds nothing where the same is submitted again, before and after it was computed', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 3);
      const submit = async () => {
        const args = ['submit', join(folder, 'in'), '-o', join(folder, 'out'), '--json'];
        return JSON.parse((await server.jobs(...args)).stdout);
      };
      const first = await submit();
      expect(first).toMatchObject({ queue: 'images', total: 3, added: 3, done: 0, present: 0, refused: [] });
      expect(await submit()).toMatchObject({ run: first.run, added: 0, done: 0, present: 3 });
      // What an interrupted submission left out is added.
      await makePages(join(folder, 'in'), 4);
      expect(await submit()).toMatchObject({ run: first.run, added: 1, present: 3 });
      await server.jobs('work', '--once');
      expect(await submit()).toMatchObject({ run: first.run, added: 0, done: 4, present: 0 });
      expect(await status(first.run)).toMatchObject({ total: 4, done: 4 });
    });
  });

  it('runs detect, several runs in one queue, and says how each stands', async () => {
    await inFolder(async (folder) => {
      const shapes = join(ROOT, 'models', 'shapes', 'val');
      const images = ['picture_00.png', 'picture_01.png'].map((name) => join(shapes, name));
      await cli(['detect', ...images, '-o', join(folder, 'expected'), '--format', 'masks', '--score', '0.6']);
      const out = join(folder, 'out');
      const detect = ['--task', 'detect', '--format', 'masks', '--score', '0.6', '--name', 'shapes'];
      expect((await server.jobs('submit', ...images, '-o', out, ...detect)).stdout).toContain(
        '2 of 2 images added',
      );
      await makePages(join(folder, 'in'), 2);
      await server.jobs(
        'submit',
        join(folder, 'in'),
        '-o',
        join(folder, 'logits'),
        '--format',
        'logits',
        '--name',
        'pages',
      );
      expect((await server.jobs('work', '--once', '--models', '1')).code).toBe(0);
      for (const name of ['picture_00', 'picture_01']) {
        expect(filesOf(join(out, name))).toEqual(filesOf(join(folder, 'expected', name)));
      }
      expect(Object.keys(filesOf(join(folder, 'logits')))).toEqual(['p00.safetensors', 'p01.safetensors']);
      const { lines } = await server.jobs('status');
      expect(lines.map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
        ['run', 'task', 'images'],
        ['shapes', 'detect', '2'],
        ['pages', 'segment', '2'],
      ]);
    });
  });

  it('gives an unreadable image up at once, and computes it after retry', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 2);
      const bad = join(folder, 'in', 'bad.png');
      writeFileSync(bad, 'no picture');
      const out = join(folder, 'out');
      await server.jobs('submit', join(folder, 'in'), '-o', out, '--format', 'labels', '--name', 'b');
      const worked = await server.jobs('work', '--once');
      expect(worked.code).toBe(1);
      expect(worked.stderr).toMatch(/^error: .*bad\.png: .* \[ERR_IMAGE_FORMAT\] \(given up\)\n$/);
      const { deadLetters, ...counts } = await status('b');
      expect(counts).toMatchObject({ total: 3, waiting: 0, done: 2, dead: 1 });
      expect(deadLetters).toEqual([
        expect.objectContaining({
          image: bad,
          output: join(out, 'bad.png'),
          code: 'ERR_IMAGE_FORMAT',
          attempts: 1,
        }),
      ]);
      expect((await server.jobs('dead', 'b')).stdout).toMatch(
        /bad\.png: .* \[ERR_IMAGE_FORMAT\] \(one try\)\n$/,
      );
      expect((await server.jobs('status', 'b', '--watch')).code).toBe(1);
      rmSync(bad);
      await makePages(folder, 1).then(([name]) => cli(['segment', join(folder, name!), '-o', bad]));
      expect((await server.jobs('retry', 'b')).stdout).toBe('1 image put back\n');
      expect((await server.jobs('work', '--once')).code).toBe(0);
      expect(await status('b')).toMatchObject({ total: 3, done: 3, dead: 0, deadLetters: [] });
      expect(Object.keys(filesOf(out))).toEqual(['bad.png', 'p00.png', 'p01.png']);
    });
  });

  it('tries again what may pass, as often as it is told, then gives it up', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 1);
      const out = join(folder, 'out');
      const submit = ['submit', join(folder, 'in'), '-o', out, '--format', 'labels', '--name', 'c'];
      await server.jobs(...submit, '--attempts', '3', '--backoff', '0.01');
      // A file in the place of the folder: it could be away the next time.
      rmSync(out, { recursive: true });
      writeFileSync(out, '');
      const worked = await server.jobs('work', '--once');
      expect(worked.code).toBe(1);
      expect(worked.stderr.match(/to be tried again/g)).toHaveLength(2);
      const { deadLetters } = await status('c');
      expect(deadLetters).toEqual([expect.objectContaining({ code: 'ERR_IMAGE_WRITE', attempts: 3 })]);
      rmSync(out);
      mkdirSync(out);
      await server.jobs('retry');
      expect((await server.jobs('work', '--once')).code).toBe(0);
      expect(await status('c')).toMatchObject({ done: 1, dead: 0 });
    });
  });

  it('takes the waiting jobs of a run out, and takes them again', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 3);
      const submit = ['submit', join(folder, 'in'), '-o', join(folder, 'out'), '--name', 'd'];
      await server.jobs(...submit);
      expect((await server.jobs('cancel', 'd')).stdout).toBe('3 images taken out\n');
      expect((await server.jobs('status')).stdout).toBe('the queue images has no runs\n');
      expect((await server.jobs('work', '--once')).stdout).toMatch(/^0 images in /);
      expect((await server.jobs(...submit)).stdout).toBe('d: 3 of 3 images added\n');
    });
  });

  it('forgets a run that is done after 30 days', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 2);
      await server.jobs('submit', join(folder, 'in'), '-o', join(folder, 'out'), '--name', 'e');
      await server.jobs('work', '--once');
      const ttl = await server.ask(async (redis) => ({
        record: await redis.ttl('{freqfusion}.run:images:e'),
        done: await redis.ttl('{freqfusion}.run:images:e:done'),
      }));
      expect(ttl.record).toBeGreaterThan(29 * 24 * 3600);
      expect(ttl.done).toBeGreaterThan(29 * 24 * 3600);
    });
  });
});

describe('wrong use of jobs', () => {
  it('names what is wrong in one line, with the exit code', async () => {
    await inFolder(async (folder) => {
      await makePages(join(folder, 'in'), 1);
      const submit = ['submit', join(folder, 'in'), '-o', join(folder, 'out'), '--name', 'f'];
      await server.jobs(...submit);
      const cases: [string[], number, string][] = [
        [[...submit, '--opacity', '0.1'], 3, 'ERR_JOBS_RUN_OPTIONS'],
        [[...submit, '--format', 'json'], 2, '--format json is not one of overlay, labels, logits'],
        [[...submit, '--score', '0.5'], 2, '--score is no option of --task segment'],
        [[...submit, '--checkpoint', 'none.pth'], 3, 'there is no file none.pth'],
        [['status', 'nothing'], 3, 'ERR_JOBS_RUN_UNKNOWN'],
        [['work', '--queue', 'a:b'], 2, 'Expected up to 100 letters'],
      ];
      for (const [args, code, words] of cases) {
        const run = await server.jobs(...args);
        expect({ args, code: run.code }).toEqual({ args, code });
        expect(run.stderr).toContain(words);
      }
    });
  });

  it('says that Redis cannot be reached or refuses the password, and never the password', async () => {
    const { port } = server;
    const cases: [string, number, string][] = [
      ['redis://user:geheim@127.0.0.1:1', 7, 'ERR_REDIS_CONNECT'],
      [`redis://user:geheim@127.0.0.1:${port}/1`, 7, 'ERR_REDIS_AUTH'],
      ['http://user:geheim@127.0.0.1', 2, 'ERR_REDIS_URL'],
    ];
    for (const [url, code, word] of cases) {
      for (const verb of ['status', 'work']) {
        const run = await cli(['jobs', verb, '--redis', url], { env: { FREQFUSION_DEBUG: '1' } });
        expect({ url, verb, code: run.code }).toEqual({ url, verb, code });
        expect(run.stderr).toContain(word);
        expect(run.stdout + run.stderr).not.toContain('geheim');
      }
    }
  });
});
