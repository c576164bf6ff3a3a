import { boolean, count, finite, type JsonObject, string } from './case';
import { GoldenError } from './error';
import type { JsonValue } from './json';

/** Turns a name of the reference, snake_case, into the camelCase of this package. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/gi, (_match, letter: string) => letter.toUpperCase());
}

/**
 * The options of a case in the reference's own names, read one by one: what nobody has asked for when a runner is
 * done is an option that the verifier does not know, and fails the case.
 */
export class Config {
  readonly #values: JsonObject;
  readonly #asked = new Set<string>();

  constructor(values: JsonObject) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  /** The raw value of an option; undefined where it is absent. */
  value(name: string): JsonValue | undefined {
    this.#asked.add(name);
    return this.#values[name];
  }

  integer(name: string, fallback?: number): number {
    const value = this.value(name);
    return value === undefined && fallback !== undefined ? fallback : count(value, `config.${name}`);
  }

  number(name: string, fallback?: number): number {
    const value = this.value(name);
    return value === undefined && fallback !== undefined ? fallback : finite(value, `config.${name}`);
  }

  boolean(name: string, fallback?: boolean): boolean {
    const value = this.value(name);
    return value === undefined && fallback !== undefined ? fallback : boolean(value, `config.${name}`);
  }

  /** One of a few words. */
  choice<T extends string>(name: string, choices: readonly T[], fallback?: T): T {
    const value = this.value(name);
    if (value === undefined && fallback !== undefined) return fallback;
    const word = string(value, `config.${name}`);
    if ((choices as readonly string[]).includes(word)) return word as T;
    throw new GoldenError(`config.${name}: expected one of ${choices.join(', ')}, got "${word}"`);
  }

  /** A list of numbers, of a given length where one is asked for. */
  numbers(name: string, length?: number): number[] {
    const value = this.value(name);
    const list = Array.isArray(value) ? value.map((each) => finite(each, `config.${name}`)) : undefined;
    if (list === undefined || (length !== undefined && list.length !== length)) {
      throw new GoldenError(`config.${name}: expected a list of ${length ?? 'some'} numbers`);
    }
    return list;
  }

  /** Every option that nobody has asked for yet, its name in camelCase: for modules that check their own options. */
  rest(): Record<string, JsonValue> {
    const left = Object.entries(this.#values).filter(([name]) => !this.#asked.has(name));
    for (const [name] of left) this.#asked.add(name);
    return Object.fromEntries(left.map(([name, value]) => [camelCase(name), value]));
  }

  /** Throws GoldenError where an option has not been asked for. */
  finish(): void {
    const left = Object.keys(this.#values).filter((name) => !this.#asked.has(name));
    if (left.length > 0)
      throw new GoldenError(`config: unknown option ${left.map((name) => `"${name}"`).join(', ')}`);
  }
}
