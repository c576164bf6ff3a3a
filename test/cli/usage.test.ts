import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { cli, ROOT } from './run';

describe('the command line', () => {
  it('prints its version and its verbs', async () => {
    const { version } = require('../../package.json') as { version: string };
    expect(await cli(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
    const help = await cli(['--help']);
    expect(help.code).toBe(0);
    for (const verb of [
      'segment',
      'detect',
      'inspect',
      'convert',
      'verify',
      'similarity',
      'eval',
      'bench',
      'serve',
      'jobs',
      'info',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${verb}[ |]`, 'm'));
    }
  });

  it.each([
    'segment',
    'detect',
    'inspect',
    'convert',
    'verify',
    'similarity',
    'eval',
    'bench',
    'serve',
    'jobs',
    'info',
  ])('%s --help has examples', async (verb) => {
    const { code, stdout } = await cli([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`$ freqfusion ${verb}`);
  });

  it.each([
    [['segmint'], /unknown command 'segmint'/],
    [['segment', 'a.png'], /required option '-o, --output/],
    [['segment', 'a.png', '-o', 'b.png', '--opacity', '2'], /Expected a number from 0 to 1/],
    [['segment', 'a.png', '-o', 'b.png', '--dtype', 'int8'], /Allowed choices are float32/],
    [['verify', '--device', 'tpu'], /Expected cpu, cuda or cuda:N/],
    [['inspect'], /missing required argument 'file'/],
    [['info', 'more'], /too many arguments/],
  ])('ends %j with exit code 2', async (args, message) => {
    const { code, stderr } = await cli(args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('prints what it runs on', async () => {
    const { stdout } = await cli(['info', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      libtorch: expect.stringMatching(/^\d+\.\d+/),
      instructionSet: expect.stringMatching(/^(baseline|avx2|avx512)$/),
      threads: expect.any(Number),
      models: expect.arrayContaining(['freqfusion', 'segnext']),
    });
    expect((await cli(['info'])).stdout).toMatch(/^libtorch +\d+\.\d+/m);
  });

  it('says in one line that the addon is missing, and what to do', async () => {
    const { code, stderr } = await cli(['info'], {
      env: { FREQFUSION_ADDON: '/nonexistent/freqfusion.node' },
    });
    expect(stderr).toMatch(/^error: the native addon is not built .*npm run build.*\[ERR_ADDON_MISSING\]\n$/);
    expect(code).toBe(4);
  });

  it('loads nothing of the job queue for verbs that have no use for it', () => {
    const program = join(ROOT, 'dist', 'cli', 'program.js');
    const script = `require(${JSON.stringify(program)}).makeProgram();
      require(${JSON.stringify(join(ROOT, 'dist', 'index.js'))});
      const heavy = Object.keys(require.cache).filter((file) => /node_modules.(bullmq|ioredis)/.test(file));
      console.log(heavy.length, Object.keys(require.cache).length > 50);`;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('0 true\n');
  });
});
