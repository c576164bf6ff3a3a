import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runAttached } from '../libtorch/process.mjs';
import { missingRedis } from './redis-server.cjs';

/** Runs jest and counts its tests; a file that does not even load counts as one failure. */
export async function runJest(root, args) {
  const folder = mkdtempSync(join(tmpdir(), 'freqfusion-jest-'));
  try {
    const file = join(folder, 'results.json');
    const jest = createRequire(import.meta.url).resolve('jest/bin/jest');
    await runAttached(process.execPath, [jest, '--json', '--outputFile', file, ...args], {
      cwd: root,
      // The report goes to the file; on the standard output it would bury everything else.
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const results = JSON.parse(readFileSync(file, 'utf8'));
    const pending = results.testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'pending' || status === 'todo'),
    );
    const notHere = [];
    if (process.platform !== 'linux') {
      notHere.push('test/build/elf.test.ts: it reads ELF files (Linux)');
      notHere.push('test/build/gpu.test.ts: scripts/gpu.sh runs on Linux');
    }
    const redis = missingRedis();
    if (redis !== undefined) {
      const files = readdirSync(join(root, 'test', 'bulk')).filter((name) => name.endsWith('.test.ts'));
      notHere.push(...files.map((name) => `test/bulk/${name}: ${redis}`));
    }
    return {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: [...pending.map(({ fullName }) => fullName), ...notHere],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
