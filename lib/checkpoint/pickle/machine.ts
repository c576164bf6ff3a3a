import { refuse } from '../codes';
import { addTo, appendTo, build, setItems, wrongTarget } from './containers';
import { callGlobal, resolveGlobal } from './globals';
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
import { noPersistentId, OP, unknownOpcode } from './opcodes';
import { type PickleInput, PickleReader } from './reader';
import {
  type PickleContext,
  PyBytes,
  PyDict,
  PyFloat,
  PyGlobal,
  PyList,
  PyOpaque,
  PySet,
  PyTuple,
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
const MAX_OBJECTS = 600_000;
const MAX_MEMO = 600_000;
const MAX_STACK = 1_000_000;
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
    // Not "??": null is Python's None, a value like any other.
    let made = this.#literal(opcode);
    if (made === undefined) made = this.#built(opcode);
    if (made === undefined) made = this.#called(opcode);
    if (made === undefined) {
      this.#apply(opcode);
      return;
    }
    if (typeof made === 'object' || typeof made === 'string') this.#objects += 1;
    if (this.#objects > MAX_OBJECTS) limit(`${MAX_OBJECTS} objects`);
    if (this.#stack.length >= MAX_STACK) limit(`${MAX_STACK} values on the stack`);
    this.#stack.push(made);
  }

  /** Opcodes that carry their value with them. */
  #literal(opcode: number): PyValue | undefined {
    const reader = this.#reader;
    switch (opcode) {
      case OP.NONE:
        return null;
      case OP.NEWTRUE:
        return true;
      case OP.NEWFALSE:
        return false;
      case OP.BININT:
        return reader.int32();
      case OP.BININT1:
        return reader.byte();
      case OP.BININT2:
        return reader.uint16();
      case OP.INT:
        return intOf(reader.line());
      case OP.LONG:
        return longLineOf(reader.line());
      case OP.LONG1:
        return longOf(reader.span(reader.byte()).bytes);
      case OP.LONG4:
        return longOf(reader.span(reader.length32()).bytes);
      case OP.FLOAT:
        return floatOf(reader.line());
      case OP.BINFLOAT:
        return new PyFloat(reader.float64());
      case OP.STRING:
        return new PyBytes({ bytes: quotedOf(reader.line()), position: undefined }, true);
      case OP.SHORT_BINSTRING:
        return new PyBytes(reader.span(reader.byte()), true);
      case OP.BINSTRING:
        return new PyBytes(reader.span(reader.length32()), true);
      case OP.SHORT_BINBYTES:
        return new PyBytes(reader.span(reader.byte()), false);
      case OP.BINBYTES:
        return new PyBytes(reader.span(reader.uint32()), false);
      case OP.BINBYTES8:
      case OP.BYTEARRAY8:
        return new PyBytes(reader.span(reader.length64()), false);
      case OP.UNICODE:
        return unicodeLineOf(reader.line());
      case OP.SHORT_BINUNICODE:
        return textValue(reader.span(reader.byte()));
      case OP.BINUNICODE:
        return textValue(reader.span(reader.uint32()));
      case OP.BINUNICODE8:
        return textValue(reader.span(reader.length64()));
      default:
        return undefined;
    }
  }

  /** Opcodes that make a container, empty or from what is on the stack. */
  #built(opcode: number): PyValue | undefined {
    switch (opcode) {
      case OP.EMPTY_LIST:
        return new PyList();
      case OP.EMPTY_DICT:
        return new PyDict();
      case OP.EMPTY_SET:
        return new PySet();
      case OP.EMPTY_TUPLE:
        return new PyTuple([]);
      case OP.TUPLE1:
        return new PyTuple([this.#pop()]);
      case OP.TUPLE2:
        return new PyTuple(this.#popMany(2));
      case OP.TUPLE3:
        return new PyTuple(this.#popMany(3));
      case OP.TUPLE:
        return new PyTuple(this.#popMark());
      case OP.LIST: {
        const list = new PyList();
        list.append(this.#popMark());
        return list;
      }
      case OP.FROZENSET: {
        const set = new PySet();
        set.add(this.#popMark());
        return set;
      }
      case OP.DICT: {
        const dict = new PyDict();
        setItems(dict, this.#popMark());
        return dict;
      }
      default:
        return undefined;
    }
  }

  /** Opcodes that name something, call it, or ask for a storage. */
  #called(opcode: number): PyValue | undefined {
    const reader = this.#reader;
    switch (opcode) {
      case OP.GLOBAL:
        return this.#global(latin1(reader.line()), latin1(reader.line()));
      case OP.STACK_GLOBAL: {
        const [module, name] = this.#popMany(2).map(textOf);
        if (module === undefined || name === undefined) wrongTarget('STACK_GLOBAL', 'two names', null);
        return this.#global(module, name);
      }
      case OP.REDUCE: {
        const [callable, args] = this.#popMany(2);
        return callGlobal(callable, argumentsOf(args), this.context);
      }
      case OP.NEWOBJ: {
        const [type, args] = this.#popMany(2);
        return this.#construct(type, argumentsOf(args));
      }
      case OP.NEWOBJ_EX: {
        const [type, args] = this.#popMany(3);
        return this.#construct(type, argumentsOf(args));
      }
      case OP.INST: {
        const type = this.#global(latin1(reader.line()), latin1(reader.line()));
        return callGlobal(type, this.#popMark(), this.context);
      }
      case OP.OBJ: {
        const [type, ...args] = this.#popMark();
        return callGlobal(type, args, this.context);
      }
      case OP.BINPERSID: {
        const id = this.#pop();
        if (this.persistent === undefined) noPersistentId('one, in a file that has no storages');
        return this.persistent(id);
      }
      default:
        return undefined;
    }
  }

  /** Opcodes that change what is there: containers, memo, marks. */
  #apply(opcode: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case OP.PROTO: {
        const version = reader.byte();
        if (version > 5)
          refuse('ERR_CHECKPOINT_PICKLE_PROTOCOL', 'the pickle protocol', '0 to 5', String(version));
        break;
      }
      case OP.FRAME:
        // Frames are a hint for streams; here one must merely not claim more than there is.
        reader.expect(reader.length64());
        break;
      case OP.MARK:
        this.#marks.push(this.#stack.length);
        break;
      case OP.POP:
        // As in Python: a mark on top is what POP takes.
        if (this.#marks.length > 0 && this.#floor === this.#stack.length) this.#marks.pop();
        else this.#pop();
        break;
      case OP.POP_MARK:
        this.#popMark();
        break;
      case OP.DUP:
        this.#stack.push(this.#peek());
        break;
      case OP.APPEND:
        appendTo([this.#pop()], this.#peek());
        break;
      case OP.APPENDS:
        appendTo(this.#popMark(), this.#peek());
        break;
      case OP.ADDITEMS:
        addTo(this.#popMark(), this.#peek());
        break;
      case OP.SETITEM: {
        const pair = this.#popMany(2);
        setItems(this.#peek(), pair);
        break;
      }
      case OP.SETITEMS: {
        const items = this.#popMark();
        setItems(this.#peek(), items);
        break;
      }
      case OP.BUILD: {
        const state = this.#pop();
        build(this.#peek(), state, this.context);
        break;
      }
      case OP.PUT:
        this.#put(indexOf(reader.line()));
        break;
      case OP.BINPUT:
        this.#put(reader.byte());
        break;
      case OP.LONG_BINPUT:
        this.#put(reader.uint32());
        break;
      case OP.MEMOIZE:
        this.#put(this.#memo.size);
        break;
      case OP.GET:
        this.#get(indexOf(reader.line()));
        break;
      case OP.BINGET:
        this.#get(reader.byte());
        break;
      case OP.LONG_BINGET:
        this.#get(reader.uint32());
        break;
      default:
        unknownOpcode(opcode);
    }
  }

  /** NEWOBJ makes objects of classes: a function cannot be called by it, and classes may have small letters. */
  #construct(type: PyValue | undefined, args: readonly PyValue[]): PyValue {
    if (type instanceof PyGlobal && type.role.kind === 'function') return new PyOpaque(type.path);
    return callGlobal(type, args, this.context);
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

function argumentsOf(value: PyValue | undefined): readonly PyValue[] {
  return value instanceof PyTuple ? value.items : wrongTarget('a call', 'a tuple of arguments', value);
}

function underflow(): never {
  refuse('ERR_CHECKPOINT_PICKLE_STACK', 'the pickle', 'a value on the stack', 'none');
}

function limit(expected: string): never {
  refuse('ERR_CHECKPOINT_PICKLE_LIMIT', 'the pickle', `at most ${expected}`, 'more');
}
