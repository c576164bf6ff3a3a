import { refuse } from '../codes';

/** Opcodes of pickle protocols 0 to 5 that a checkpoint may hold, by their names in Python's pickletools. */
export const OP = {
  MARK: 0x28,
  STOP: 0x2e,
  POP: 0x30,
  POP_MARK: 0x31,
  DUP: 0x32,
  FLOAT: 0x46,
  INT: 0x49,
  BININT: 0x4a,
  BININT1: 0x4b,
  LONG: 0x4c,
  BININT2: 0x4d,
  NONE: 0x4e,
  BINPERSID: 0x51,
  REDUCE: 0x52,
  STRING: 0x53,
  BINSTRING: 0x54,
  SHORT_BINSTRING: 0x55,
  UNICODE: 0x56,
  BINUNICODE: 0x58,
  APPEND: 0x61,
  BUILD: 0x62,
  GLOBAL: 0x63,
  DICT: 0x64,
  EMPTY_DICT: 0x7d,
  APPENDS: 0x65,
  GET: 0x67,
  BINGET: 0x68,
  INST: 0x69,
  LONG_BINGET: 0x6a,
  LIST: 0x6c,
  EMPTY_LIST: 0x5d,
  OBJ: 0x6f,
  PUT: 0x70,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  EMPTY_TUPLE: 0x29,
  SETITEMS: 0x75,
  BINFLOAT: 0x47,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  PROTO: 0x80,
  NEWOBJ: 0x81,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  LONG1: 0x8a,
  LONG4: 0x8b,
  SHORT_BINUNICODE: 0x8c,
  BINUNICODE8: 0x8d,
  BINBYTES8: 0x8e,
  EMPTY_SET: 0x8f,
  ADDITEMS: 0x90,
  FROZENSET: 0x91,
  NEWOBJ_EX: 0x92,
  STACK_GLOBAL: 0x93,
  MEMOIZE: 0x94,
  FRAME: 0x95,
  BYTEARRAY8: 0x96,
} as const;

/** Opcodes that Python knows and a checkpoint never needs: they are refused by name. */
const REFUSED_OPCODES: ReadonlyMap<number, string> = new Map([
  [0x82, 'EXT1 (extension registry)'],
  [0x83, 'EXT2 (extension registry)'],
  [0x84, 'EXT4 (extension registry)'],
  [0x97, 'NEXT_BUFFER (out-of-band data)'],
  [0x98, 'READONLY_BUFFER (out-of-band data)'],
]);

const PERSID = 0x50;

/** Refuses a persistent id where the format has none. */
export function noPersistentId(actual: string): never {
  refuse('ERR_CHECKPOINT_PICKLE_PERSISTENT_ID', 'the pickle', 'no persistent id', actual);
}

/** Refuses an opcode that is not on the list, by its name if it has one. */
export function unknownOpcode(opcode: number): never {
  if (opcode === PERSID) noPersistentId('one in text form (PERSID)');
  const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
  refuse(
    'ERR_CHECKPOINT_PICKLE_OPCODE',
    'the pickle',
    'an opcode of the list',
    REFUSED_OPCODES.get(opcode) ?? hex,
  );
}
