import { createReadStream } from 'node:fs';
import { CocoError, describe } from '../errors';
import { throwIfAborted } from '../image/source';

/**
 * Takes one value of a file: an element of the list `key` (of the file itself, where it is a list: `key` is ''), or,
 * with no index, a member that is no list.
 */
export type JsonVisitor = (value: unknown, key: string, index: number | undefined) => void;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** Longest single value; a list counts by its elements. */
const MAX_VALUE = 2 ** 28;

/**
 * Reads a JSON file value by value, so that neither its text nor all that it holds must fit in memory: COCO's files
 * are one list, or an object with a few long ones. Throws ERR_COCO_READ for a file that cannot be read or is no such
 * JSON.
 * @returns the names of the lists that the file has, empty ones too; '' for the file itself.
 */
export async function readJsonValues(
  file: string,
  visit: JsonVisitor,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const splitter = new Splitter(file, visit);
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      throwIfAborted(signal);
      splitter.feed(chunk as Buffer);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!/^E[A-Z]+$/.test(code)) throw error;
    const reason = code === 'ENOENT' ? 'there is no such file' : code;
    throw new CocoError('ERR_COCO_READ', `${file} cannot be read: ${reason}`, {
      expected: 'a JSON file',
      actual: reason,
      cause: error,
    });
  }
  splitter.end();
  return splitter.lists;
}

/** What the next byte that is no white space may begin. */
type State = 'root' | 'key' | 'colon' | 'member' | 'element' | 'next' | 'end';

/** Cuts bytes into the values that a visitor gets. */
class Splitter {
  #state: State = 'root';
  /** Whether the root is an object; a list otherwise. */
  #object = false;
  #key = '';
  /** Position in the list that is being read. */
  #index: number | undefined;
  /** Whether a closing bracket may come now: after a value, and in an empty list or object. */
  #mayClose = false;
  /** Names of the lists so far. */
  readonly lists = new Set<string>();

  // The value or key that is being collected: its bytes from earlier chunks, and what is open within it.
  #parts: Buffer[] = [];
  #length = 0;
  #collecting = false;
  #depth = 0;
  #inText = false;
  #escaped = false;

  constructor(
    readonly file: string,
    readonly visit: JsonVisitor,
  ) {}

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#collecting) at = this.#collect(chunk, at);
      else if (isSpace(chunk[at]!)) at += 1;
      else at = this.#step(chunk, at);
    }
  }

  end(): void {
    if (this.#state !== 'end') throw this.#wrong('a whole JSON list or object', 'its end');
  }

  /** Decides what a byte between values means; gives the position to go on from. */
  #step(chunk: Buffer, at: number): number {
    const byte = chunk[at]!;
    const found = () => describe(String.fromCharCode(byte));
    switch (this.#state) {
      case 'root':
        if (byte !== OPEN_LIST && byte !== OPEN_OBJECT) throw this.#wrong('a JSON list or object', found());
        this.#object = byte === OPEN_OBJECT;
        if (this.#object) this.#open('key');
        else this.#openList();
        return at + 1;
      case 'colon':
        if (byte !== COLON) throw this.#wrong("':'", found());
        this.#state = 'member';
        return at + 1;
      case 'key':
        if (byte === CLOSE_OBJECT && this.#mayClose) return this.#close(at);
        if (byte !== QUOTE) throw this.#wrong('a name', found());
        return this.#begin(at);
      case 'member':
        if (byte === OPEN_LIST) {
          this.#openList();
          return at + 1;
        }
        return this.#begin(at);
      case 'element':
        if (byte === CLOSE_LIST && this.#mayClose) return this.#close(at);
        return this.#begin(at);
      case 'next':
        if (byte === COMMA) {
          this.#open(this.#index === undefined ? 'key' : 'element');
          this.#mayClose = false;
          return at + 1;
        }
        if (byte === (this.#index === undefined ? CLOSE_OBJECT : CLOSE_LIST)) return this.#close(at);
        throw this.#wrong("',' or a closing bracket", found());
      case 'end':
        throw this.#wrong('the end of the file', found());
    }
  }

  #open(state: 'key' | 'element'): void {
    this.#state = state;
    this.#mayClose = true;
  }

  #openList(): void {
    this.lists.add(this.#key);
    this.#index = 0;
    this.#open('element');
  }

  #close(at: number): number {
    const list = this.#index !== undefined;
    this.#index = undefined;
    this.#state = list && this.#object ? 'next' : 'end';
    return at + 1;
  }

  #begin(at: number): number {
    this.#collecting = true;
    this.#depth = 0;
    this.#inText = false;
    return at;
  }

  /** Goes through a value to its end or the chunk's. */
  #collect(chunk: Buffer, start: number): number {
    let at = start;
    let depth = this.#depth;
    let inText = this.#inText;
    let escaped = this.#escaped;
    const key = this.#state === 'key';
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (inText) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) {
          inText = false;
          if (key) return this.#finish(chunk, start, at + 1);
        }
      } else if (byte === QUOTE) inText = true;
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth += 1;
      else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        if (depth === 0) return this.#finish(chunk, start, at);
        depth -= 1;
      } else if (byte === COMMA && depth === 0) return this.#finish(chunk, start, at);
    }
    this.#depth = depth;
    this.#inText = inText;
    this.#escaped = escaped;
    this.#keep(chunk.subarray(start));
    return at;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > MAX_VALUE) throw this.#wrong(`values of at most ${MAX_VALUE} bytes`, 'a longer one');
    this.#parts.push(part);
  }

  #finish(chunk: Buffer, start: number, end: number): number {
    let bytes = chunk.subarray(start, end);
    if (this.#parts.length > 0) {
      this.#keep(bytes);
      bytes = Buffer.concat(this.#parts);
      this.#parts = [];
    }
    this.#length = 0;
    this.#collecting = false;
    this.#escaped = false;
    const value = this.#parse(bytes);
    if (this.#state === 'key') {
      this.#key = value as string;
      this.#state = 'colon';
      return end;
    }
    this.#state = 'next';
    this.visit(value, this.#key, this.#index);
    if (this.#index !== undefined) this.#index += 1;
    return end;
  }

  #parse(bytes: Buffer): unknown {
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      const text = bytes.toString('utf8', 0, 60).trim();
      throw this.#wrong('a JSON value', describe(text), error);
    }
  }

  #wrong(expected: string, actual: string, cause?: unknown): CocoError {
    const place = `${this.#key}${this.#index === undefined ? '' : `[${this.#index}]`}`;
    const where = place === '' ? this.file : `${place} of ${this.file}`;
    return new CocoError('ERR_COCO_READ', `expected ${expected} for ${where}, got ${actual}`, {
      expected,
      actual,
      cause,
    });
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
