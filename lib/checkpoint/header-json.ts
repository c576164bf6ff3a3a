import { quote, refuse } from './codes';

/** A JSON value that keeps what JSON.parse loses: the order of keys, and integers of any size. */
export type HeaderValue =
  | string
  | boolean
  | null
  | bigint
  | HeaderFloat
  | readonly HeaderValue[]
  | HeaderObject;

/** A number that is no integer. */
export class HeaderFloat {
  constructor(readonly text: string) {}
}

/** An object in the order of its keys; no key stands twice. */
export class HeaderObject {
  readonly entries = new Map<string, HeaderValue>();
}

const MAX_DEPTH = 8;
const NUMBER = /^-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/;
const MAX_NUMBER = 40;

/** Parses a safetensors header. Refuses what is not JSON, nesting beyond 8, and keys that stand twice. */
export function parseHeader(text: string): HeaderValue {
  const parser = new HeaderParser(text);
  return parser.whole();
}

class HeaderParser {
  #at = 0;

  constructor(readonly text: string) {}

  whole(): HeaderValue {
    const value = this.#value(1);
    this.#space();
    if (this.#at < this.text.length) this.#wrong('the end of the header');
    return value;
  }

  #value(depth: number): HeaderValue {
    if (depth > MAX_DEPTH) {
      refuse(
        'ERR_CHECKPOINT_SAFETENSORS_DEPTH',
        'the safetensors header',
        `at most ${MAX_DEPTH} levels`,
        'more',
      );
    }
    this.#space();
    const first = this.text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#number();
  }

  #object(depth: number): HeaderObject {
    const object = new HeaderObject();
    this.#at += 1;
    if (this.#skip('}')) return object;
    do {
      this.#space();
      const key = this.#string();
      if (object.entries.has(key)) {
        refuse(
          'ERR_CHECKPOINT_SAFETENSORS_DUPLICATE',
          'the safetensors header',
          'each key once',
          `${quote(key)} twice`,
        );
      }
      if (!this.#skip(':')) this.#wrong("':'");
      object.entries.set(key, this.#value(depth + 1));
    } while (this.#skip(','));
    if (!this.#skip('}')) this.#wrong("'}'");
    return object;
  }

  #array(depth: number): HeaderValue[] {
    const items: HeaderValue[] = [];
    this.#at += 1;
    if (this.#skip(']')) return items;
    do items.push(this.#value(depth + 1));
    while (this.#skip(','));
    if (!this.#skip(']')) this.#wrong("']'");
    return items;
  }

  #string(): string {
    const start = this.#at;
    if (this.text[start] !== '"') this.#wrong('a string');
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === '\\' ? 2 : 1;
    this.#at = end + 1;
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string;
    } catch {
      this.#at = start;
      return this.#wrong('a string');
    }
  }

  #number(): HeaderValue {
    const found = NUMBER.exec(this.text.slice(this.#at, this.#at + MAX_NUMBER));
    if (found === null) return this.#wrong('a value');
    const [token, fraction, exponent] = found as unknown as [string, string?, string?];
    this.#at += token.length;
    return fraction === undefined && exponent === undefined ? BigInt(token) : new HeaderFloat(token);
  }

  #skip(mark: string): boolean {
    this.#space();
    if (this.text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #space(): void {
    while (this.#at < this.text.length && ' \t\n\r'.includes(this.text[this.#at]!)) this.#at += 1;
  }

  #wrong(expected: string): never {
    const actual = this.#at < this.text.length ? quote(this.text.slice(this.#at, this.#at + 12)) : 'its end';
    refuse(
      'ERR_CHECKPOINT_SAFETENSORS_JSON',
      `the safetensors header at character ${this.#at}`,
      expected,
      actual,
    );
  }
}

const WORDS: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];
