import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeWhole } from '../../lib/bulk/atomic';
import { failureLine, kindOf, readFailure } from '../../lib/bulk/failures';
import { redactUrl, redisError } from '../../lib/bulk/redis';
import { checkRunOptions, digest } from '../../lib/bulk/run-options';
import {
  CheckpointError,
  FreqFusionError,
  ImageError,
  invalidArgument,
  LoadError,
  OutOfMemoryError,
} from '../../lib/errors';
import { inFolder } from '../cli/run';

function system(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: it failed`), { code });
}

describe('failures of jobs', () => {
  it.each([
    ['transient', new OutOfMemoryError('ERR_OUT_OF_MEMORY', 'no memory')],
    ['transient', new OutOfMemoryError('ERR_CUDA_OUT_OF_MEMORY', 'no memory')],
    ['transient', system('ENOSPC')],
    ['transient', new Error('something unforeseen')],
    ['transient', new ImageError('ERR_IMAGE_WRITE', 'cannot be written', { cause: system('ENOSPC') })],
    ['transient', new ImageError('ERR_IMAGE_READ', 'cannot be read', { cause: system('ESTALE') })],
    ['input', new ImageError('ERR_IMAGE_READ', 'damaged')],
    ['input', new ImageError('ERR_IMAGE_READ', 'cannot be read', { cause: system('EACCES') })],
    ['input', new ImageError('ERR_IMAGE_MISSING', 'no such file', { cause: system('ENOENT') })],
    ['input', new CheckpointError('ERR_CHECKPOINT_CRC', 'damaged')],
    ['input', new FreqFusionError('ERR_MODEL_CONFIG', 'wrong')],
    ['input', invalidArgument('ERR_RANGE', 'score', 'less', 2)],
    ['worker', new LoadError('ERR_ADDON_LOAD', 'it does not load')],
    ['worker', new FreqFusionError('ERR_CUDA_DEVICE_LOST', 'the GPU failed')],
  ] as const)('%s: %s', (kind, error) => {
    expect(kindOf(error)).toBe(kind);
  });

  it('are kept as one line that can be taken apart again', () => {
    const line = failureLine(new ImageError('ERR_IMAGE_READ', 'a.png [x] is damaged:\n  bad chunk'));
    expect(line).toBe('a.png [x] is damaged: bad chunk [ERR_IMAGE_READ]');
    expect(readFailure(line)).toEqual({ code: 'ERR_IMAGE_READ', error: 'a.png [x] is damaged: bad chunk' });
    expect(readFailure(failureLine(system('ENOSPC')))).toEqual({
      code: 'ENOSPC',
      error: 'ENOSPC: it failed',
    });
    expect(readFailure('job stalled more than allowable limit').code).toBe('ERR_JOBS_STALLED');
    expect(readFailure('who knows')).toEqual({ code: 'ERR_INTERNAL', error: 'who knows' });
  });
});

describe('outputs of jobs', () => {
  it('appear whole or not at all, and leave nothing beside them', async () => {
    await inFolder(async (folder) => {
      const output = join(folder, 'made', 'a.png');
      await writeWhole(output, { id: 'x', attempt: 1 }, false, async (part) => {
        expect(part).toMatch(/made[\\/]\.freqfusion-x\.1\.part\.png$/);
        expect(existsSync(output)).toBe(false);
        writeFileSync(part, 'first');
      });
      const failing = writeWhole(output, { id: 'x', attempt: 2 }, false, async (part) => {
        writeFileSync(part, 'half');
        throw new Error('in the middle');
      });
      await expect(failing).rejects.toThrow('in the middle');
      expect(readFileSync(output, 'utf8')).toBe('first');
      expect(readdirSync(join(folder, 'made'))).toEqual(['a.png']);
    });
  });

  it('remove what an attempt left behind that was killed', async () => {
    await inFolder(async (folder) => {
      writeFileSync(join(folder, '.freqfusion-x.1.part.png'), 'half');
      writeFileSync(join(folder, '.freqfusion-other.1.part.png'), 'of another job');
      const write = async (part: string) => writeFileSync(part, 'whole');
      await writeWhole(join(folder, 'a.png'), { id: 'x', attempt: 2 }, false, write);
      expect(readdirSync(folder).sort()).toEqual(['.freqfusion-other.1.part.png', 'a.png']);
    });
  });

  it('are added to a folder of them, beside what is there', async () => {
    await inFolder(async (folder) => {
      const output = join(folder, 'masks');
      mkdirSync(output);
      writeFileSync(join(output, 'notes.txt'), 'mine');
      await writeWhole(output, { id: 'x', attempt: 1 }, true, async (part) => {
        writeFileSync(join(part, '000_page.png'), 'mask');
      });
      expect(readdirSync(output).sort()).toEqual(['000_page.png', 'notes.txt']);
      expect(readdirSync(folder)).toEqual(['masks']);
    });
  });

  it('say why they cannot be written', async () => {
    await inFolder(async (folder) => {
      writeFileSync(join(folder, 'file'), '');
      const write = async (part: string) => writeFileSync(part, '');
      const failing = writeWhole(join(folder, 'file', 'a.png'), { id: 'x', attempt: 1 }, false, write);
      await expect(failing).rejects.toMatchObject({ code: 'ERR_IMAGE_WRITE', actual: 'EEXIST' });
    });
  });
});

describe('options of runs', () => {
  it('have one text, whatever their order', () => {
    const one = checkRunOptions({ task: 'segment', format: 'labels', opacity: 0.5, model: { ema: true } });
    const other = checkRunOptions({ model: { ema: true }, opacity: 0.5, format: 'labels', task: 'segment' });
    expect(JSON.stringify(one)).toBe(JSON.stringify(other));
  });

  it.each([
    [{ task: 'paint', format: 'labels' }, 'ERR_OPTION_VALUE'],
    [{ task: 'segment', format: 'masks' }, 'ERR_OPTION_VALUE'],
    [{ task: 'segment', format: 'labels', score: 0.5 }, 'ERR_OPTION_UNKNOWN'],
    [{ task: 'detect', format: 'json', score: 2 }, 'ERR_RANGE'],
    [{ task: 'detect', format: 'json', model: { nmfSeed: 1 } }, 'ERR_OPTION_UNKNOWN'],
    [{ task: 'detect', format: 'json', model: { dtype: 'int8' } }, 'ERR_OPTION_VALUE'],
    [null, 'ERR_TYPE'],
  ])('%j: %s', (options, code) => {
    expect(() => checkRunOptions(options)).toThrow(expect.objectContaining({ code }));
  });

  it('make ids that differ where anything does', () => {
    const ids = [
      digest('run', 'a', 'b'),
      digest('run', 'ab', ''),
      digest('run', 'a', 'c'),
      digest('runa', 'b'),
    ];
    expect(new Set(ids).size).toBe(4);
    expect(ids.every((id) => /^[\w-]{22}$/.test(id))).toBe(true);
  });
});

describe('URLs of Redis', () => {
  it.each([
    ['redis://user:geheim@host:6380/2', 'redis://host:6380/2'],
    ['rediss://:geheim@[::1]:6379', 'rediss://[::1]:6379'],
    ['redis://host?password=geheim', 'redis://host'],
    ['redis://:ge@heim@host', 'redis://host'],
  ])('%s is shown as %s', (url, shown) => {
    expect(redactUrl(url)).toBe(shown);
  });

  it.each(['', 'geheim', 'http://user:geheim@host', 'redis://user:geheim@', 17])('%j is none', (url) => {
    let thrown: unknown;
    try {
      redactUrl(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(FreqFusionError);
    expect(JSON.stringify([thrown, (thrown as Error).message])).not.toContain('geheim');
  });

  it('are not kept by errors: the command of a log-in has the password', () => {
    const refused = Object.assign(new Error('WRONGPASS invalid username-password pair'), {
      name: 'ReplyError',
      command: { name: 'auth', args: ['geheim'] },
    });
    const error = redisError('redis://host', refused);
    expect(error).toMatchObject({ code: 'ERR_REDIS_AUTH', actual: 'WRONGPASS' });
    expect(error.cause).toBeUndefined();
  });
});
