import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runAttached } from '../libtorch/process.mjs';
import { notHere } from './not-here.cjs';

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
    const left = Object.entries(notHere(root)).map(([file, reason]) => `${file}: ${reason}`);
    return {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: [...pending.map(({ fullName }) => fullName), ...left],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
