import { quote, refuse } from '../codes';
import { setArrayState, setTypeState } from '../numpy';
import { callGlobal, resolveGlobal, setItem } from './globals';
import {
  floatOf,
  indexOf,
  intOf,
  latin1,
  longLineOf,
  longOf,
  quotedOf,
  textValue,
  unicodeLineOf,
} from './literals';
import { OP, REFUSED_OPCODES } from './opcodes';
import { type PickleInput, PickleReader } from './reader';
import {
  kindOf,
  type PickleContext,
  PyArray,
  PyArrayType,
  PyBytes,
  PyDict,
  PyFloat,
  PyGlobal,
  PyList,
  PyOpaque,
  PySet,
  PyTensor,
  PyTuple,
  PyUnsupported,
  type PyValue,
  textOf,
} from './values';

/** How persistent ids become values; absent where the format has none. */
export type PersistentLoad = (id: PyValue) => PyValue;

/** What a pickle gave, and where it ended. */
export interface Unpickled {
  readonly value: PyValue;
  readonly end: number;
}

const MAX_OPERATIONS = 10_000_000;
const MAX_OBJECTS = 1_000_000;
const MAX_MEMO = 1_000_000;
const MAX_GLOBAL = 512;

/**
 * Reads one pickle into inert values. A loop over opcodes without recursion: nesting costs stack entries, not calls.
 */
export function unpickle(input: PickleInput, context: PickleContext, persistent?: PersistentLoad): Unpickled {
  const machine = new Machine(input, context, persistent);
  return machine.run();
}

class Machine {
  readonly #reader: PickleReader;
  readonly #stack: PyValue[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PyValue>();
  readonly #globals = new Map<string, PyGlobal>();
  #objects = 0;

  constructor(
    input: PickleInput,
    readonly context: PickleContext,
    readonly persistent: PersistentLoad | undefined,
  ) {
    this.#reader = new PickleReader(input);
  }

  run(): Unpickled {
    for (let count = 0; count < MAX_OPERATIONS; count++) {
      if (this.#reader.atEnd) this.#ended();
      const opcode = this.#reader.byte();
      if (opcode === OP.STOP) return { value: this.#pop(), end: this.#reader.at };
      this.#step(opcode);
    }
    return limit(`${MAX_OPERATIONS} operations`);
  }

  #step(opcode: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case OP.PROTO: {
        const version = reader.byte();
        if (version > 5)
          refuse('ERR_CHECKPOINT_PICKLE_PROTOCOL', 'the pickle protocol', '0 to 5', String(version));
        return;
      }
      case OP.FRAME:
        // Frames are a hint for streams; here one must merely not claim more than there is.
        return reader.expect(reader.length64());
      case OP.MARK:
        this.#marks.push(this.#stack.length);
        return;
      case OP.NONE:
        return this.#push(null);
      case OP.NEWTRUE:
        return this.#push(true);
      case OP.NEWFALSE:
        return this.#push(false);
      case OP.BININT:
        return this.#push(reader.int32());
      case OP.BININT1:
        return this.#push(reader.byte());
      case OP.BININT2:
        return this.#push(reader.uint16());
      case OP.INT:
        return this.#push(intOf(reader.line()));
      case OP.LONG:
        return this.#push(longLineOf(reader.line()));
      case OP.LONG1:
        return this.#push(longOf(reader.span(reader.byte()).bytes));
      case OP.LONG4:
        return this.#push(longOf(reader.span(reader.length32()).bytes));
      case OP.FLOAT:
        return this.#make(floatOf(reader.line()));
      case OP.BINFLOAT:
        return this.#make(new PyFloat(reader.float64()));
      case OP.STRING:
        return this.#make(new PyBytes({ bytes: quotedOf(reader.line()), position: undefined }, true));
      case OP.SHORT_BINSTRING:
        return this.#make(new PyBytes(reader.span(reader.byte()), true));
      case OP.BINSTRING:
        return this.#make(new PyBytes(reader.span(reader.length32()), true));
      case OP.SHORT_BINBYTES:
        return this.#make(new PyBytes(reader.span(reader.byte()), false));
      case OP.BINBYTES:
        return this.#make(new PyBytes(reader.span(reader.uint32()), false));
      case OP.BINBYTES8:
      case OP.BYTEARRAY8:
        return this.#make(new PyBytes(reader.span(reader.length64()), false));
      case OP.UNICODE:
        return this.#make(unicodeLineOf(reader.line()));
      case OP.SHORT_BINUNICODE:
        return this.#make(textValue(reader.span(reader.byte())));
      case OP.BINUNICODE:
        return this.#make(textValue(reader.span(reader.uint32())));
      case OP.BINUNICODE8:
        return this.#make(textValue(reader.span(reader.length64())));
      default:
        return this.#stepOnStack(opcode);
    }
  }

  /** The opcodes that build from what is on the stack. */
  #stepOnStack(opcode: number): void {
    switch (opcode) {
      case OP.POP:
        // As in Python: a mark on top is what POP takes.
        if (this.#marks.length > 0 && this.#marks[this.#marks.length - 1] === this.#stack.length)
          this.#marks.pop();
        else this.#pop();
        return;
      case OP.POP_MARK:
        this.#popMark();
        return;
      case OP.DUP:
        return this.#push(this.#peek());
      case OP.EMPTY_LIST:
        return this.#make(new PyList());
      case OP.EMPTY_DICT:
        return this.#make(new PyDict());
      case OP.EMPTY_SET:
        return this.#make(new PySet());
      case OP.EMPTY_TUPLE:
        return this.#make(new PyTuple([]));
      case OP.TUPLE1:
        return this.#make(new PyTuple([this.#pop()]));
      case OP.TUPLE2:
        return this.#make(new PyTuple(this.#popMany(2)));
      case OP.TUPLE3:
        return this.#make(new PyTuple(this.#popMany(3)));
      case OP.TUPLE:
        return this.#make(new PyTuple(this.#popMark()));
      case OP.LIST: {
        const list = new PyList();
        list.append(this.#popMark());
        return this.#make(list);
      }
      case OP.FROZENSET: {
        const set = new PySet();
        set.add(this.#popMark());
        return this.#make(set);
      }
      case OP.DICT: {
        const items = this.#popMark();
        const dict = new PyDict();
        this.#setItems(dict, items);
        return this.#make(dict);
      }
      case OP.APPEND: {
        const item = this.#pop();
        return this.#append([item]);
      }
      case OP.APPENDS:
        return this.#append(this.#popMark());
      case OP.ADDITEMS: {
        const items = this.#popMark();
        const set = this.#peek();
        if (set instanceof PySet) set.add(items);
        else if (!(set instanceof PyOpaque)) wrongTarget('ADDITEMS', 'a set', set);
        return;
      }
      case OP.SETITEM: {
        const pair = this.#popMany(2);
        return this.#setItems(this.#peek(), pair);
      }
      case OP.SETITEMS: {
        const items = this.#popMark();
        return this.#setItems(this.#peek(), items);
      }
      default:
        return this.#stepByName(opcode);
    }
  }

  /** Memo, globals, calls and persistent ids. */
  #stepByName(opcode: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case OP.PUT:
        return this.#put(indexOf(reader.line()));
      case OP.BINPUT:
        return this.#put(reader.byte());
      case OP.LONG_BINPUT:
        return this.#put(reader.uint32());
      case OP.MEMOIZE:
        return this.#put(this.#memo.size);
      case OP.GET:
        return this.#get(indexOf(reader.line()));
      case OP.BINGET:
        return this.#get(reader.byte());
      case OP.LONG_BINGET:
        return this.#get(reader.uint32());
      case OP.GLOBAL:
        return this.#push(this.#global(latin1(reader.line()), latin1(reader.line())));
      case OP.STACK_GLOBAL: {
        const [module, name] = this.#popMany(2).map(textOf);
        if (module === undefined || name === undefined) wrongTarget('STACK_GLOBAL', 'two names', null);
        return this.#push(this.#global(module, name));
      }
      case OP.REDUCE: {
        const [callable, args] = this.#popMany(2);
        return this.#make(callGlobal(callable, argumentsOf(args), this.context));
      }
      case OP.NEWOBJ: {
        const [type, args] = this.#popMany(2);
        return this.#make(this.#construct(type, argumentsOf(args)));
      }
      case OP.NEWOBJ_EX: {
        const [type, args] = this.#popMany(3);
        return this.#make(this.#construct(type, argumentsOf(args)));
      }
      case OP.INST: {
        const type = this.#global(latin1(reader.line()), latin1(reader.line()));
        return this.#make(callGlobal(type, this.#popMark(), this.context));
      }
      case OP.OBJ: {
        const [type, ...args] = this.#popMark();
        return this.#make(callGlobal(type, args, this.context));
      }
      case OP.BUILD: {
        const state = this.#pop();
        return this.#build(this.#peek(), state);
      }
      case OP.BINPERSID: {
        if (this.persistent === undefined) break;
        return this.#make(this.persistent(this.#pop()));
      }
      default:
        return unknownOpcode(opcode);
    }
    refuse(
      'ERR_CHECKPOINT_PICKLE_PERSISTENT_ID',
      'the pickle',
      'no persistent id',
      'one, in a file that has no storages',
    );
  }

  /** NEWOBJ makes objects of classes: a function cannot be called by it, and classes may have small letters. */
  #construct(type: PyValue | undefined, args: readonly PyValue[]): PyValue {
    if (type instanceof PyGlobal && type.role.kind === 'function') return new PyOpaque(type.path);
    return callGlobal(type, args, this.context);
  }

  /** BUILD: numpy's arrays and dtypes get their content. Attributes of anything else are dropped, never set. */
  #build(target: PyValue, state: PyValue): void {
    if (target instanceof PyArray) setArrayState(target, state, this.context);
    else if (target instanceof PyArrayType) setTypeState(target, state);
    else if (target instanceof PyGlobal) {
      refuse(
        'ERR_CHECKPOINT_CODE_CALL',
        'the pickle',
        'no change of a class or function',
        `BUILD on ${quote(target.path)}`,
      );
    } else if (!BUILDABLE.some((type) => target instanceof type)) wrongTarget('BUILD', 'an object', target);
  }

  #append(items: readonly PyValue[]): void {
    const list = this.#peek();
    if (list instanceof PyList) list.append(items);
    else if (!(list instanceof PyOpaque)) wrongTarget('APPEND', 'a list', list);
  }

  #setItems(dict: PyValue, items: readonly PyValue[]): void {
    if (items.length % 2 !== 0) wrongTarget('SETITEMS', 'pairs', null);
    if (dict instanceof PyOpaque) return;
    if (!(dict instanceof PyDict)) wrongTarget('SETITEM', 'a dict', dict);
    for (let i = 0; i < items.length; i += 2) setItem(dict, items[i]!, items[i + 1]!);
  }

  #global(module: string, name: string): PyGlobal {
    if (module.length + name.length > MAX_GLOBAL) {
      refuse(
        'ERR_CHECKPOINT_PICKLE_VALUE',
        'a global of the pickle',
        `at most ${MAX_GLOBAL} characters`,
        'more',
      );
    }
    const key = `${module} ${name}`;
    let known = this.#globals.get(key);
    if (known === undefined) {
      this.context.charge(100 + key.length);
      known = resolveGlobal(module, name);
      this.#globals.set(key, known);
    }
    return known;
  }

  #put(index: number): void {
    if (this.#memo.size >= MAX_MEMO) limit(`${MAX_MEMO} memo entries`);
    this.#memo.set(index, this.#peek());
  }

  #get(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) {
      refuse('ERR_CHECKPOINT_PICKLE_MEMO', 'the pickle', 'a memo entry that was stored', `entry ${index}`);
    }
    this.#push(value);
  }

  #make(value: PyValue): void {
    this.#objects += 1;
    if (this.#objects > MAX_OBJECTS) limit(`${MAX_OBJECTS} objects`);
    this.#stack.push(value);
  }

  #push(value: PyValue): void {
    this.#stack.push(value);
  }

  /** The lowest stack index that opcodes may take from: nothing below an open mark. */
  get #floor(): number {
    return this.#marks.length === 0 ? 0 : this.#marks[this.#marks.length - 1]!;
  }

  #peek(): PyValue {
    if (this.#stack.length <= this.#floor) underflow();
    return this.#stack[this.#stack.length - 1]!;
  }

  #pop(): PyValue {
    if (this.#stack.length <= this.#floor) underflow();
    return this.#stack.pop()!;
  }

  #popMany(count: number): PyValue[] {
    if (this.#stack.length - count < this.#floor) underflow();
    return this.#stack.splice(this.#stack.length - count);
  }

  #popMark(): PyValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined)
      refuse('ERR_CHECKPOINT_PICKLE_STACK', 'the pickle', 'a MARK on the stack', 'none');
    return this.#stack.splice(mark);
  }

  /** The data is over without STOP. With values still open it was cut; a finished value lacks nothing but STOP. */
  #ended(): never {
    if (this.#marks.length > 0 || this.#stack.length !== 1) {
      refuse('ERR_CHECKPOINT_TRUNCATED', 'the pickle', 'STOP', 'the end of the data: the file is cut');
    }
    refuse('ERR_CHECKPOINT_PICKLE_NO_STOP', 'the end of the pickle', 'STOP', 'the end of the data');
  }
}

const BUILDABLE = [PyDict, PyList, PySet, PyOpaque, PyTensor, PyUnsupported] as const;

function argumentsOf(value: PyValue | undefined): readonly PyValue[] {
  return value instanceof PyTuple ? value.items : wrongTarget('a call', 'a tuple of arguments', value);
}

function underflow(): never {
  refuse('ERR_CHECKPOINT_PICKLE_STACK', 'the pickle', 'a value on the stack', 'none');
}

function limit(expected: string): never {
  refuse('ERR_CHECKPOINT_PICKLE_LIMIT', 'the pickle', `at most ${expected}`, 'more');
}

function wrongTarget(opcode: string, expected: string, actual: PyValue | undefined): never {
  refuse('ERR_CHECKPOINT_PICKLE_TYPE', `${opcode} in the pickle`, expected, kindOf(actual));
}

function unknownOpcode(opcode: number): never {
  if (opcode === 0x50) {
    refuse('ERR_CHECKPOINT_PICKLE_PERSISTENT_ID', 'the pickle', 'no persistent id in text form', 'PERSID');
  }
  const hex = `0x${opcode.toString(16).padStart(2, '0')}`;
  refuse(
    'ERR_CHECKPOINT_PICKLE_OPCODE',
    'the pickle',
    'an opcode of the list',
    REFUSED_OPCODES.get(opcode) ?? hex,
  );
}
