import type { TSchema } from '@sinclair/typebox';
import { Value, type ValueError, ValueErrorType } from '@sinclair/typebox/value';
import { describe } from '../errors';
import { nearestName } from '../modules/nearest-name';
import { ConfigSchema } from './config';

/** What is wrong with a config, in words. */
export interface ConfigProblem {
  readonly message: string;
  readonly expected: string;
  readonly actual: string;
  /** Where in the file it is. */
  readonly offset: number;
}

type Member = readonly (string | number)[];

/** Where in a file the value and the name of a member stand. */
export interface Offsets {
  value(member: Member): number;
  name(member: Member): number;
}

const NOWHERE: Offsets = { value: () => 0, name: () => 0 };

/** Members whose value is nobody's business. */
const SECRET = /^server\.apiKeys\b/;

/** The problem of a config that comes first in its file; undefined where there is none. `value` is not changed. */
export function firstProblem(value: unknown, offsets = NOWHERE): ConfigProblem | undefined {
  const full = Value.Default(ConfigSchema, Value.Clone(value));
  const problems = [...Value.Errors(ConfigSchema, full)].map((error) => problemOf(error, full, offsets));
  if (problems.length === 0) problems.push(...duplicates(full, offsets));
  return problems.sort((a, b) => a.offset - b.offset)[0];
}

function problemOf(error: ValueError, root: unknown, offsets: Offsets): ConfigProblem {
  const member = memberOf(error.path);
  const name = nameOf(member);
  if (error.type === ValueErrorType.ObjectAdditionalProperties) {
    const last = String(member.at(-1));
    const names = Object.keys(error.schema.properties);
    const near = nearestName(last, names);
    const hint = near === undefined ? '' : ` (the nearest is ${near})`;
    const expected = `one of ${names.join(', ')}${hint}`;
    return {
      message: `${name} is no member: expected ${expected}`,
      expected,
      actual: last,
      offset: offsets.name(member),
    };
  }
  const expected = expectationOf(error.schema);
  const offset = offsets.value(member);
  const given = at(root, member);
  if (given === undefined) {
    return { message: `${name} is missing: expected ${expected}`, expected, actual: 'nothing', offset };
  }
  const actual = SECRET.test(name) ? 'another value' : describe(given);
  return { message: `expected ${expected} for ${name}, got ${actual}`, expected, actual, offset };
}

function duplicates(root: unknown, offsets: Offsets): ConfigProblem[] {
  const { models } = root as { models: { name: string }[] };
  return models.flatMap(({ name }, i) => {
    if (models.findIndex((other) => other.name === name) === i) return [];
    const expected = 'a name that no other model has';
    const member = ['models', i, 'name'];
    const actual = JSON.stringify(name);
    return [
      {
        message: `expected ${expected} for ${nameOf(member)}, got ${actual}`,
        expected,
        actual,
        offset: offsets.value(member),
      },
    ];
  });
}

function memberOf(pointer: string): Member {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/** models[0].batch.size */
function nameOf(member: Member): string {
  const name = member.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  return name === '' ? 'the config' : name.replace(/^\./, '');
}

function at(root: unknown, member: Member): unknown {
  return member.reduce<unknown>((value, part) => (value as Record<string, unknown> | null)?.[part], root);
}

/** What a schema takes, in words: "an integer from 1 to 256", "one of segment, detect". */
export function expectationOf(schema: TSchema): string {
  if (Array.isArray(schema.anyOf)) return `one of ${schema.anyOf.map(({ const: each }) => each).join(', ')}`;
  switch (schema.type) {
    case 'integer':
      return `an integer${bounds(schema)}`;
    case 'number':
      return `a number${bounds(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      if (schema.pattern !== undefined) return `a string that matches ${schema.pattern}`;
      return (schema.minLength ?? 0) > 1 ? `a string of at least ${schema.minLength} characters` : 'a string';
    case 'array': {
      if (Array.isArray(schema.items)) return `a list of ${schema.items.length}`;
      const { minItems: least = 0, maxItems: most = Number.POSITIVE_INFINITY } = schema;
      if (least > 0) return `a list of ${least} to ${most} elements`;
      return most < Number.POSITIVE_INFINITY ? `a list of at most ${most} elements` : 'a list';
    }
    default:
      return 'an object';
  }
}

function bounds({ minimum, maximum }: TSchema): string {
  if (maximum === undefined) return minimum === undefined ? '' : ` from ${minimum}`;
  return ` from ${minimum} to ${maximum}`;
}
