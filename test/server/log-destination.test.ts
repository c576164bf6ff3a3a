import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { logDestination } from '../../lib/server/log-destination';

test('lines go to the file, whole and in order', () => {
  const folder = mkdtempSync(join(tmpdir(), 'freqfusion-log-'));
  try {
    const file = join(folder, 'log');
    const fd = openSync(file, 'w');
    const log = pino({ level: 'info' }, logDestination(fd));
    for (let i = 0; i < 100; i += 1) log.info({ i }, 'ä'.repeat(i));
    closeSync(fd);
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).i)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a descriptor that cannot be written to is complained of once', () => {
  const fd = openSync(__filename, 'r');
  const complaints: string[] = [];
  const log = pino(
    { level: 'info' },
    logDestination(fd, (message) => complaints.push(message)),
  );
  for (let i = 0; i < 10; i += 1) log.info('lost');
  closeSync(fd);
  expect(complaints).toEqual(['the log cannot be written (EBADF): lines are lost until it can']);
});
