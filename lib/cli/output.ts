import { writeSync } from 'node:fs';
import { Presets, SingleBar } from 'cli-progress';

/** Writes a line to standard output. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a line to standard error, where remarks go that a program reading the output must not see. */
export function remark(line: string): void {
  writeSync(process.stderr.fd, `${line}\n`);
}

/** Writes a value as JSON, numbers that JSON cannot hold as null, bigints as numbers or digits. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? Number(each) : each), 2));
}

/** How a column of a table is aligned. */
export type Align = 'left' | 'right';

/** Lays out rows as columns two spaces apart; a column whose cells are all empty falls away. */
export function table(rows: readonly (readonly string[])[], align: readonly Align[] = []): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(0, ...rows.map((row) => (row[c] ?? '').length)),
  );
  return rows.map((row) =>
    widths
      .map((width, c) => {
        const cell = row[c] ?? '';
        if (width === 0) return undefined;
        return align[c] === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .filter((cell) => cell !== undefined)
      .join('  ')
      .trimEnd(),
  );
}

/** A number of seconds in words: "0.84 s", "3 min 05 s". */
export function seconds(value: number): string {
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** A number of bytes in words: "14.2 MB". */
export function bytes(value: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** A share in percent: "12.3 %". */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** A score in hundredths, as papers print them: "39.4"; a dash where there is none. */
export function points(score: number | null): string {
  return score === null ? '-' : (score * 100).toFixed(1);
}

/** A progress display that may or may not be there. */
export interface Progress {
  /** Sets how much is done; a fraction is fine. */
  update(done: number, note?: string): void;
  stop(): void;
}

const SILENT: Progress = { update: () => {}, stop: () => {} };

/** A bar on standard error, shown on a terminal alone and once the work has taken a second. */
export function progressBar(total: number, { enabled = true, unit = '' } = {}): Progress {
  if (!enabled || !process.stderr.isTTY || total <= 0) return SILENT;
  let bar: SingleBar | undefined;
  let done = 0;
  let note = '';
  const show = () => {
    bar = new SingleBar(
      {
        format: `{bar} {percentage}% | {shown}/{total}${unit === '' ? '' : ` ${unit}`} | {eta_formatted} left {note}`,
        hideCursor: true,
        clearOnComplete: true,
        stopOnComplete: false,
        stream: process.stderr,
      },
      Presets.shades_classic,
    );
    bar.start(total, done, { note, shown: Math.floor(done) });
  };
  const timer = setTimeout(show, 1000);
  return {
    update(value, text = note) {
      done = value;
      note = text;
      bar?.update(value, { note, shown: Math.floor(value) });
    },
    stop() {
      clearTimeout(timer);
      bar?.stop();
      bar = undefined;
    },
  };
}
