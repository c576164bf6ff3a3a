import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint } from '../../lib/checkpoint/checkpoint';
import { CHECKPOINT_RULES, type CheckpointCode, categoryOf } from '../../lib/checkpoint/codes';
import { CheckpointError } from '../../lib/errors';

const FOLDER = join(__dirname, 'attacks');
const files = readdirSync(FOLDER).sort();
const codeOf = (file: string) =>
  `ERR_CHECKPOINT_${file.replace(/\..*$/, '').replaceAll('-', '_').toUpperCase()}` as CheckpointCode;

function attempt(file: string): CheckpointError {
  try {
    const checkpoint = Checkpoint.fromBytes(readFileSync(join(FOLDER, file)), { name: file });
    checkpoint.inspect();
    checkpoint.verify();
  } catch (error) {
    if (error instanceof CheckpointError) return error;
    throw error;
  }
  throw new Error(`${file} was accepted`);
}

test.each(files)('%s raises the code that it is named after', (file) => {
  const start = process.cpuUsage();
  const error = attempt(file);
  expect(error.code).toBe(codeOf(file));
  expect(error.message).toMatch(/expected .+ for .+, got .+/);
  expect(error.message).toContain(error.expected);
  // Processor time: other programs on the machine must not fail this.
  expect(process.cpuUsage(start).user).toBeLessThan(1e6);
});

test('every rule has its file, but for the one that no file can show', () => {
  const rules = Object.keys(CHECKPOINT_RULES).filter((code) => code !== 'ERR_CHECKPOINT_FILE_CHANGED');
  expect(files.map(codeOf).sort()).toEqual(rules.sort());
});

test('codes of other errors have no category', () => {
  expect(categoryOf('ERR_CHECKPOINT_ZIP_BOMB')).toBe('zip');
  expect(categoryOf('ERR_CHECKPOINT_CLOSED')).toBeUndefined();
  expect(categoryOf('constructor')).toBeUndefined();
});

test('docs/checkpoints.md lists every rule in the same words', () => {
  const page = readFileSync(join(__dirname, '..', '..', 'docs', 'checkpoints.md'), 'utf8');
  for (const [code, [category, rule]] of Object.entries(CHECKPOINT_RULES)) {
    expect(page).toContain(`| \`${code}\` | ${category} | ${rule} |`);
  }
});
