import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, run } from '../package/commands';

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? '';

describe('the report of npm test', () => {
  const report = (steps: string) => {
    const script = `
      import { fromLastLine, fromStatus, Report } from '${ROOT}/scripts/test/report.mjs';
      const report = new Report();
      ${steps}
      report.print();
      process.exitCode = report.failed === 0 ? 0 : 1;`;
    return run(process.execPath, ['--input-type=module', '-e', script]);
  };

  test('ends on the counts of everything, alone on the line', () => {
    const { status, stdout } = report(`
      await report.step('build', () => fromStatus(0));
      await report.step('tests', () => ({ passed: 40, failed: 0 }));`);
    expect([status, lastLine(stdout)]).toEqual([0, '41 passed, 0 failed']);
  });

  test('names what did not run, and counts it', () => {
    const { stdout } = report(
      `await report.step('CUDA', () => ({ skipped: ['carafe on CUDA: there is no GPU'] }));`,
    );
    expect(stdout).toContain('not run: carafe on CUDA: there is no GPU\n0 passed, 0 failed, 1 skipped\n');
  });

  test('counts a step that breaks as a failure, and goes on', () => {
    const { status, stdout } = report(`
      await report.step('broken', () => { throw new Error('no such tool'); });
      await report.step('tests', () => fromLastLine('words\\n3 passed, 1 failed, 2 skipped\\n'));`);
    expect([status, lastLine(stdout)]).toEqual([1, '3 passed, 2 failed']);
  });
});

describe('tests that need a program', () => {
  test('are left out and named, with what is missing, where it is not there', () => {
    const script = `console.log(JSON.stringify(require('${ROOT}/scripts/test/not-here.cjs').notHere('${ROOT}')))`;
    const env = { ...process.env, CHROMIUM: '/no/such/browser' };
    const found = JSON.parse(run(process.execPath, ['-e', script], ROOT, env).stdout);
    expect(found).toMatchObject({
      'test/browser/access.test.ts':
        'expected chromium on PATH (CHROMIUM, or apt-get install chromium), got no such file',
    });
    const jest = require.resolve('jest/bin/jest');
    const { stdout } = run(process.execPath, [jest, '--listTests', 'test/browser'], ROOT, env);
    expect(stdout.trim()).toBe('');
  });
});

describe('.ci/run', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'freqfusion-ci-'));
    mkdirSync(join(folder, 'bin'));
    cpSync(join(ROOT, '.ci'), join(folder, '.ci'), { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  // No python3 that could make an environment, no apt-get, and programs that only say what the real ones would.
  const ci = (npm: string, node: string) => {
    for (const [name, lines] of Object.entries({ npm, node, python3: 'exit 1', 'apt-get': 'exit 1' })) {
      writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${lines}\n`);
      chmodSync(join(folder, 'bin', name), 0o755);
    }
    const env = { ...process.env, PATH: `${folder}/bin:${process.env.PATH}`, XDG_CACHE_HOME: folder };
    return run('bash', [join(folder, '.ci/run')], folder, env);
  };
  const npmTest = (counts: string, status = 0): string =>
    `[ $1 = ci ] || { echo "${counts}"; exit ${status}; }`;

  test('ends on the sum of npm test and of the node-gyp path', () => {
    const { status, stdout } = ci(npmTest('40 passed, 0 failed, 2 skipped'), 'echo "6 passed, 0 failed"');
    expect([status, lastLine(stdout)]).toEqual([0, '46 passed, 0 failed, 2 skipped']);
  });

  test('fails where one of them has failures', () => {
    const { status, stdout } = ci(npmTest('39 passed, 1 failed', 1), 'echo "6 passed, 0 failed"');
    expect([status, lastLine(stdout)]).toEqual([1, '45 passed, 1 failed']);
  });

  test('counts an npm ci that breaks, and a program that ends without its counts', () => {
    const { status, stdout } = ci('exit 1', 'echo "Segmentation fault"; exit 139');
    expect([status, lastLine(stdout)]).toEqual([1, '0 passed, 2 failed']);
  });

  test('does not believe good counts of a program that ended badly', () => {
    const { status, stdout } = ci(npmTest('40 passed, 0 failed', 134), 'echo "6 passed, 0 failed"');
    expect([status, lastLine(stdout)]).toEqual([1, '46 passed, 1 failed']);
  });
});
