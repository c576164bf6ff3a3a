import { FreqFusionError } from '../../errors';

/** What a field of a message may hold: so many of it, and within each what its own fields may. */
interface FieldRule {
  /** Times that it may come. */
  readonly most: number;
  /** Bytes of each. Default: any. */
  readonly bytes?: number;
  /** Fields of the message that it is. */
  readonly fields?: Readonly<Record<number, FieldRule>>;
}

const NAME: FieldRule = { most: 1, bytes: 4096 };
const PARAMETERS: FieldRule = { most: 64, bytes: 4096 };
/** Small, packed or not: none of the tensors here is of these. */
const NUMBERS: FieldRule = { most: 1024, bytes: 8192 };

/** Typed contents: a pixel in them is an object of several bytes at most, so UINT8 may be large. */
const CONTENTS: FieldRule = {
  most: 1,
  fields: {
    1: NUMBERS,
    2: NUMBERS,
    3: NUMBERS,
    4: { most: 1024 },
    5: NUMBERS,
    6: NUMBERS,
    7: NUMBERS,
    8: { most: 4096 },
  },
};

const REQUEST: Readonly<Record<number, FieldRule>> = {
  1: NAME,
  2: NAME,
  3: NAME,
  4: PARAMETERS,
  5: { most: 16, fields: { 1: NAME, 2: NAME, 3: { most: 16, bytes: 256 }, 4: PARAMETERS, 5: CONTENTS } },
  6: { most: 16, fields: { 1: NAME, 2: PARAMETERS } },
  7: { most: 16 },
};

/** Fields of no meaning to this version that a message may have. */
const UNKNOWN: FieldRule = { most: 64 };

/**
 * Checks an encoded ModelInferRequest before it is decoded: a message of two bytes an element could become objects of
 * a hundred times its size. Throws FreqFusionError ERR_REQUEST.
 */
export function checkInferRequest(bytes: Uint8Array): void {
  checkFields(bytes, 0, bytes.length, REQUEST, 'ModelInferRequest');
}

function checkFields(
  bytes: Uint8Array,
  start: number,
  end: number,
  rules: Readonly<Record<number, FieldRule>>,
  name: string,
): void {
  const counts = new Map<number, number>();
  let at = start;
  while (at < end) {
    const tag = varint(bytes, at, end, name);
    const field = Math.floor(tag.value / 8);
    const known = rules[field];
    const rule = known ?? UNKNOWN;
    const label = `field ${field} of ${name}`;
    const count = (counts.get(field) ?? 0) + 1;
    counts.set(field, count);
    if (count > rule.most) throw malformed(label, `at most ${rule.most} of it`, `${count} and more`);
    const { from, to } = extent(bytes, tag.next, end, tag.value % 8, label);
    if (rule.bytes !== undefined && to - from > rule.bytes) {
      throw malformed(label, `at most ${rule.bytes} bytes`, `${to - from}`);
    }
    if (rule.fields !== undefined) checkFields(bytes, from, to, rule.fields, label);
    at = to;
  }
}

/** Where a field's value lies, by its wire type. Groups, which nest without end, are not taken. */
function extent(bytes: Uint8Array, at: number, end: number, wireType: number, label: string) {
  if (wireType === 0) return { from: at, to: varint(bytes, at, end, label).next };
  let from = at;
  let length = wireType === 1 ? 8 : wireType === 5 ? 4 : undefined;
  if (wireType === 2) ({ value: length, next: from } = varint(bytes, at, end, label));
  if (length === undefined)
    throw malformed(label, 'a varint, 4, 8 or counted bytes', `wire type ${wireType}`);
  if (length > end - from) throw malformed(label, `at most the ${end - from} bytes left`, `${length}`);
  return { from, to: from + length };
}

function varint(bytes: Uint8Array, at: number, end: number, label: string) {
  let value = 0;
  for (let i = 0; i < 10 && at + i < end; i += 1) {
    const byte = bytes[at + i]!;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  throw malformed(label, 'a varint of at most 10 bytes', 'none');
}

function malformed(label: string, expected: string, actual: string): FreqFusionError {
  return new FreqFusionError('ERR_REQUEST', `expected ${expected} for ${label}, got ${actual}`, {
    expected,
    actual,
  });
}
