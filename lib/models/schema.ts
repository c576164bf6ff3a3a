import { ArgumentError, describe, invalidArgument } from '../errors';
import { nearestName } from '../modules/nearest-name';

/** Checks one value of a config and throws ERR_MODEL_CONFIG, naming it by its path. */
export type Check = (value: unknown, path: string) => void;

/** The project's wording for a config's member: "expected X for network.options.head.channels, got Y". */
export function configError(path: string, expected: string, actual: unknown, hint = ''): ArgumentError {
  if (hint === '') return invalidArgument('ERR_MODEL_CONFIG', path, expected, actual);
  const got = describe(actual);
  const message = `expected ${expected} for ${path}, got ${got}${hint}`;
  return new ArgumentError('ERR_MODEL_CONFIG', message, { expected, actual: got });
}

function check(holds: (value: unknown) => boolean, expected: string): Check {
  return (value, path) => {
    if (!holds(value)) throw configError(path, expected, value);
  };
}

const isWhole = (min: number) => (value: unknown) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min;

/** A whole number from a least one, to a greatest where one is named. */
export const whole = (min: number, max?: number): Check =>
  max === undefined
    ? check(isWhole(min), `an integer from ${min}`)
    : check((value) => isWhole(min)(value) && (value as number) <= max, `an integer from ${min} to ${max}`);
/** An odd whole number from 1. */
export const odd: Check = check(
  (value) => isWhole(1)(value) && (value as number) % 2 === 1,
  'an odd integer',
);
/** A number from 0. */
export const share: Check = check((value) => typeof value === 'number' && value >= 0, 'a number from 0');
/** A number from 0 to 1. */
export const fraction: Check = check(
  (value) => typeof value === 'number' && value >= 0 && value <= 1,
  'a number from 0 to 1',
);
export const positive: Check = check((value) => typeof value === 'number' && value > 0, 'a number above 0');
export const text: Check = check((value) => typeof value === 'string', 'a string');
export const flag: Check = check((value) => typeof value === 'boolean', 'true or false');
export const color: Check = check(
  (value) =>
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((each) => isWhole(0)(each) && (each as number) <= 255),
  'three integers from 0 to 255',
);

export const oneOf = (...choices: readonly (string | number | null)[]): Check =>
  check(
    (value) => choices.includes(value as string),
    `one of ${choices.map((each) => (typeof each === 'string' ? `'${each}'` : String(each))).join(', ')}`,
  );

/** A list, of a given length where one is named. */
export function list(member: Check, length?: number): Check {
  const expected = length === undefined ? 'a list with at least one element' : `a list of ${length} elements`;
  return (value, path) => {
    if (!Array.isArray(value) || value.length === 0 || (length !== undefined && value.length !== length)) {
      throw configError(path, expected, value);
    }
    for (const [i, each] of value.entries()) member(each, `${path}[${i}]`);
  };
}

export const orNull =
  (of: Check): Check =>
  (value, path) => {
    if (value !== null) of(value, path);
  };

/** An object with these members and no other; those in `required` must be there. */
export function object(members: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw configError(path, 'an object', value);
    const at = (name: string) => (path === '' ? name : `${path}.${name}`);
    for (const name of required) {
      if (!(name in value)) throw configError(at(name), 'a value', undefined);
    }
    for (const [name, member] of Object.entries(value)) {
      const of = members[name];
      if (of === undefined) {
        const near = nearestName(name, Object.keys(members));
        const hint = near === undefined ? '' : ` (the nearest is ${near})`;
        const place = path === '' ? 'the config' : path;
        throw configError(place, `only the members ${Object.keys(members).join(', ')}${hint}`, name);
      }
      if (member !== undefined) of(member, at(name));
    }
  };
}
