import type { LabelMap } from '../../image/labels';

/** Room for one label and one length with their commas: each has ten digits at most. */
const PAIR = 22;

const [ZERO, COMMA] = [48, 44];

/**
 * The text of JSON's list of a map's runs, without its brackets: "label,length,label,length". Written digit by digit:
 * a map of noise has as many runs as pixels, too many for a list of numbers and near the longest string there can be.
 */
export function runsText(labels: LabelMap['labels']): Buffer {
  let text = Buffer.allocUnsafe(Math.min(1 << 16, PAIR * labels.length));
  let length = 0;
  for (let start = 0; start < labels.length; ) {
    const label = labels[start]!;
    let end = start + 1;
    while (end < labels.length && labels[end] === label) end++;
    if (length + PAIR > text.length) text = Buffer.concat([text], Math.max(2 * text.length, length + PAIR));
    if (length > 0) text[length++] = COMMA;
    length = writeNumber(text, length, label);
    text[length++] = COMMA;
    length = writeNumber(text, length, end - start);
    start = end;
  }
  return text.subarray(0, length);
}

function writeNumber(text: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  for (let i = at + digits - 1, rest = value; i >= at; i--) {
    const less = Math.floor(rest / 10);
    text[i] = ZERO + rest - 10 * less;
    rest = less;
  }
  return at + digits;
}
