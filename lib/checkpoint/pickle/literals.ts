import { quote, refuse } from '../codes';
import { MAX_NAME_BYTES, PyFloat, PyLongText, type PyValue, type Span } from './values';

const MAX_LONG_BYTES = 4096;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** LONG1 and LONG4: a little-endian two's complement integer. */
export function longOf(bytes: Uint8Array): number | bigint {
  if (bytes.length > MAX_LONG_BYTES) {
    refuse(
      'ERR_CHECKPOINT_PICKLE_LENGTH',
      'an integer of the pickle',
      `at most ${MAX_LONG_BYTES} bytes`,
      `${bytes.length}`,
    );
  }
  if (bytes.length === 0) return 0;
  const hex = Buffer.from(bytes).reverse().toString('hex');
  return narrowed(BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex}`)));
}

/** INT: a decimal line, where 00 and 01 are the booleans of protocol 1 (and some writers spell them out). */
export function intOf(line: Uint8Array): PyValue {
  const text = latin1(line);
  if (text === '01' || text === 'True') return true;
  if (text === '00' || text === 'False') return false;
  return decimalOf(text);
}

/** LONG: a decimal line with an L at its end. */
export function longLineOf(line: Uint8Array): PyValue {
  return decimalOf(latin1(line).replace(/L$/, ''));
}

/** FLOAT: a decimal line. */
export function floatOf(line: Uint8Array): PyFloat {
  const text = latin1(line).trim().toLowerCase();
  const special = { nan: Number.NaN, inf: Infinity, '-inf': -Infinity }[text];
  const value = special ?? (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/.test(text) ? Number(text) : undefined);
  if (value === undefined) malformed('a float', text);
  return new PyFloat(value);
}

/** STRING: a quoted line with Python 2's escapes. Checkpoints use it for short names only. */
export function quotedOf(line: Uint8Array): Uint8Array {
  const text = latin1(line).trim();
  const mark = text[0];
  if (text.length < 2 || (mark !== "'" && mark !== '"') || !text.endsWith(mark))
    malformed('a quoted text', text);
  const plain = text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[\s\S])/g, (_all, code: string) => {
    if (code[0] === 'x' && code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 0xff);
    return ESCAPES[code] ?? (/[\\'"]/.test(code) ? code : `\\${code}`);
  });
  return Uint8Array.from(Buffer.from(plain, 'latin1'));
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
};

/** UNICODE: a line of raw-unicode-escape text. */
export function unicodeLineOf(line: Uint8Array): string {
  return latin1(line).replace(
    /\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/g,
    (all, short?: string, long?: string) => {
      const code = Number.parseInt(short ?? long ?? '', 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : malformed('a text', all);
    },
  );
}

/** BINUNICODE and its kin: short texts are decoded, long ones kept as they are. */
export function textValue(span: Span): string | PyLongText {
  if (span.bytes.length > MAX_NAME_BYTES) return new PyLongText(span);
  try {
    return UTF8.decode(span.bytes);
  } catch {
    return malformed('a text in UTF-8', latin1(span.bytes));
  }
}

/** A line that must be a name or a memo index. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** A memo index in decimal. */
export function indexOf(line: Uint8Array): number {
  const text = latin1(line);
  const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  return value ?? malformed('a memo index', text);
}

function decimalOf(text: string): number | bigint {
  const digits = text.trim();
  if (!/^[-+]?\d+$/.test(digits)) malformed('an integer', digits);
  return digits.startsWith('+') ? narrowed(BigInt(digits.slice(1))) : narrowed(BigInt(digits));
}

function narrowed(value: bigint): number | bigint {
  const small = BigInt.asIntN(54, value) === value && value > -(2n ** 53n);
  return small ? Number(value) : value;
}

function malformed(expected: string, actual: string): never {
  refuse('ERR_CHECKPOINT_PICKLE_VALUE', 'the pickle', expected, quote(actual));
}
