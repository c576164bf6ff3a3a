/** Between a number and its unit: no line ends there. */
const SPACE = '\u00a0';

/** A score or a share as a percentage: 97 %, 4.2 %, under 0.1 %. */
export function percent(part: number): string {
  const value = part * 100;
  if (value > 0 && value < 0.1) return `under 0.1${SPACE}%`;
  return `${value < 10 ? trimmed(value.toFixed(1)) : value.toFixed(0)}${SPACE}%`;
}

/** A time: 0.4 ms, 84 ms, 1.3 s. */
export function duration(milliseconds: number): string {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)}${SPACE}s`;
  return `${milliseconds < 10 ? trimmed(milliseconds.toFixed(1)) : milliseconds.toFixed(0)}${SPACE}ms`;
}

/** A number of bytes: 640 kB, 32 MB. */
export function bytes(count: number): string {
  if (count < 1000) return `${count}${SPACE}bytes`;
  if (count < 1_000_000) return `${Math.round(count / 1000)}${SPACE}kB`;
  return `${trimmed((count / 1_000_000).toFixed(1))}${SPACE}MB`;
}

/** "1 object", "3 objects". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

function trimmed(number: string): string {
  return number.replace(/\.0$/, '');
}
