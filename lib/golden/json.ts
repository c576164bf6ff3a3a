/** A number in a case file that JSON.parse would lose: an integer beyond 2^53. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | JsonValue[]
  | { [key: string]: JsonValue };

const MARK = '\u0000number:';

// A whole string, or one of the tokens that Python's json module writes and JavaScript's refuses or rounds.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?Infinity\b|\bNaN\b|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;

/**
 * Parses JSON as Python's json module writes it: Infinity, -Infinity and NaN are numbers, and integers that a
 * double cannot hold become bigint. Throws SyntaxError where the text is no such JSON.
 */
export function parseJson(text: string): JsonValue {
  const marked = text.replace(TOKENS, (token) => {
    if (token.startsWith('"')) {
      if (token.includes('\\u0000number:')) throw new SyntaxError(`reserved text in ${token}`);
      return token;
    }
    return JSON.stringify(MARK + token);
  });
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(MARK)) return value;
    const token = value.slice(MARK.length);
    const number = Number(token);
    return /^-?\d+$/.test(token) && !Number.isSafeInteger(number) ? BigInt(token) : number;
  }) as JsonValue;
}
