import { isUtf8 } from 'node:buffer';
import { quote, refuse } from '../codes';
import { dtype, fromBuffer, reconstruct, scalar } from '../numpy';
import { torchGlobals, unknownStorage } from '../torch-globals';
import { isHarmless, STANDARD_LIBRARY } from './python-modules';
import {
  type GlobalRole,
  kindOf,
  type PickleContext,
  PyBytes,
  PyComplex,
  PyDict,
  PyEncoded,
  PyFloat,
  PyGlobal,
  PyList,
  PyLongText,
  PyOpaque,
  PySet,
  PyTuple,
  PyUnsupported,
  type PyValue,
  textOf,
} from './values';

type Call = (args: readonly PyValue[], context: PickleContext) => PyValue;

const CALLS: Readonly<Record<string, Call>> = {
  'collections OrderedDict': dictOf,
  'collections defaultdict': () => new PyDict(),
  '_codecs encode': encode,
  ...both('numpy.core.multiarray _reconstruct', reconstruct),
  ...both('numpy.core.multiarray scalar', scalar),
  ...both('numpy.core.numeric _frombuffer', fromBuffer),
  'numpy dtype': dtype,
  ...builtin('set', setOf),
  ...builtin('frozenset', setOf),
  ...builtin('complex', complexOf),
  ...builtin('bytes', bytesOf),
  ...builtin('bytearray', bytesOf),
  ...builtin('dict', dictOf),
  ...builtin('list', (args) => (args.length === 0 ? new PyList() : new PyOpaque('builtins.list'))),
};

/** Classes of values: naming them is harmless, and an instance becomes a placeholder. */
const CLASSES = [
  ...[
    'object',
    'int',
    'long',
    'float',
    'bool',
    'str',
    'unicode',
    'tuple',
    'slice',
    'range',
    'xrange',
    'type',
  ].flatMap((name) => [`builtins ${name}`, `__builtin__ ${name}`]),
  ...`ndarray generic number bool bool_ float16 float32 float64 longdouble half single double int8 int16 int32 int64
  uint8 uint16 uint32 uint64 intp uintp complex64 complex128 str_ bytes_ void object_ datetime64 timedelta64`
    .trim()
    .split(/\s+/)
    .map((name) => `numpy ${name}`),
];

const LIST: ReadonlyMap<string, GlobalRole> = new Map([
  ...torchGlobals(),
  ...Object.entries(CALLS).map(([name, call]): [string, GlobalRole] => [name, { kind: 'call', call }]),
  ...CLASSES.map((name): [string, GlobalRole] => [name, { kind: 'class' }]),
]);

/**
 * Decides what a named global is. Functions of the list have a stand-in of ours. The standard library is refused
 * but for values; so is a dotted name that reaches into it or into Python's internals. Of anything else, a class
 * makes placeholders, and a function may be named but not called. Nothing is ever imported.
 */
export function resolveGlobal(module: string, name: string): PyGlobal {
  const listed = LIST.get(`${module} ${name}`) ?? unknownStorage(module, name);
  if (listed !== undefined) return new PyGlobal(module, name, listed);
  const [top] = module.split('.') as [string];
  const parts = name.split('.');
  const reaches = parts.some((part) => STANDARD_LIBRARY.has(part) || /^__.*__$|^$/.test(part));
  const allowed = STANDARD_LIBRARY.has(top) ? isHarmless(module, name) : !reaches && top !== '';
  if (!allowed) {
    refuse(
      'ERR_CHECKPOINT_CODE_GLOBAL',
      'the pickle',
      'no name that could run code',
      quote(`${module}.${name}`),
      'Nothing was run. Do not load this file with torch.load() either, unless you trust its source',
    );
  }
  // numpy's random generators are rebuilt by functions with small letters; they are values like the rest.
  const isValue = STANDARD_LIBRARY.has(top) || module.startsWith('numpy.random.');
  const isClass = isValue || /^_*[A-Z]/.test(parts[parts.length - 1]!);
  return new PyGlobal(module, name, { kind: isClass ? 'class' : 'function' });
}

/** REDUCE, NEWOBJ, INST and OBJ: calls our stand-in, makes a placeholder, or refuses. */
export function callGlobal(
  callable: PyValue | undefined,
  args: readonly PyValue[],
  context: PickleContext,
): PyValue {
  if (callable instanceof PyGlobal) {
    const { role } = callable;
    if (role.kind === 'call') return role.call(args, context);
    if (role.kind === 'class') return placeholder(callable, args);
    if (role.kind === 'storage') return new PyUnsupported(`a storage made by ${callable.path}`);
  }
  if (callable instanceof PyGlobal || callable instanceof PyOpaque) {
    const path = callable instanceof PyGlobal ? callable.path : callable.className;
    refuse(
      'ERR_CHECKPOINT_CODE_CALL',
      'the pickle',
      'calls of listed functions alone',
      `a call of ${quote(path)}`,
      'Nothing was run. Save the state dict alone, torch.save(model.state_dict(), path), or as safetensors',
    );
  }
  refuse('ERR_CHECKPOINT_PICKLE_TYPE', 'a call in the pickle', 'a function or class', kindOf(callable));
}

/** An instance that keeps its class's name alone. copyreg's helpers name the class as their first argument. */
function placeholder(callable: PyGlobal, args: readonly PyValue[]): PyOpaque {
  const helper = callable.module === 'copyreg' || callable.module === 'copy_reg';
  const type = helper ? args[0] : callable;
  return new PyOpaque(type instanceof PyGlobal ? type.path : callable.path);
}

/** Sets a key of a dict: text keys of every form become plain strings. */
export function setItem(dict: PyDict, key: PyValue, value: PyValue): void {
  if (key instanceof PyList || key instanceof PyDict || key instanceof PySet) {
    refuse('ERR_CHECKPOINT_PICKLE_TYPE', 'a key of a dict', 'a hashable value', kindOf(key));
  }
  dict.set(textOf(key) ?? key, value);
}

function both(name: string, call: Call): Record<string, Call> {
  return { [name]: call, [name.replace('numpy.core.', 'numpy._core.')]: call };
}

function builtin(name: string, call: Call): Record<string, Call> {
  return { [`builtins ${name}`]: call, [`__builtin__ ${name}`]: call };
}

/** dict() and OrderedDict(), empty or from a list of pairs as Python 2 wrote them. */
function dictOf(args: readonly PyValue[], context: PickleContext): PyValue {
  const dict = new PyDict();
  const pairs = args[0];
  if (pairs === undefined) return dict;
  for (const pair of itemsOf('a dict of the pickle', pairs, context)) {
    const items = itemsOf('a dict of the pickle', pair, context);
    if (items.length !== 2)
      refuse('ERR_CHECKPOINT_PICKLE_TYPE', 'a dict of the pickle', 'pairs', kindOf(pair));
    setItem(dict, items[0]!, items[1]!);
  }
  return dict;
}

function setOf(args: readonly PyValue[], context: PickleContext): PyValue {
  const set = new PySet();
  if (args[0] !== undefined) set.add(itemsOf('a set of the pickle', args[0], context));
  return set;
}

function itemsOf(what: string, value: PyValue, context: PickleContext): readonly PyValue[] {
  if (value instanceof PyList || value instanceof PyTuple) {
    context.charge(value.items.length);
    return value.items;
  }
  return refuse('ERR_CHECKPOINT_PICKLE_TYPE', what, 'a list', kindOf(value));
}

function complexOf(args: readonly PyValue[]): PyValue {
  const [real, imag] = args.map((part) => (part instanceof PyFloat ? part.value : part));
  if (typeof real === 'number' && typeof imag === 'number') return new PyComplex(real, imag);
  return refuse(
    'ERR_CHECKPOINT_PICKLE_TYPE',
    'a complex number of the pickle',
    'two numbers',
    kindOf(args[0]),
  );
}

/** bytes() and bytearray(), empty, from bytes, or from a text and 'latin-1'. */
function bytesOf(args: readonly PyValue[], context: PickleContext): PyValue {
  const data = args[0];
  if (data === undefined) return new PyBytes({ bytes: new Uint8Array(0), position: undefined }, false);
  if (data instanceof PyBytes || data instanceof PyEncoded) return data;
  return encode(args, context);
}

/** `_codecs.encode(text, 'latin1')`: how protocols 0 to 2 carry bytes. */
function encode(args: readonly PyValue[], context: PickleContext): PyValue {
  const [text, codec] = args;
  const name = codec === undefined ? '' : (textOf(codec) ?? '').toLowerCase().replace(/[-_]/g, '');
  if (name !== 'latin1' && name !== 'iso88591') {
    refuse('ERR_CHECKPOINT_PICKLE_TYPE', '_codecs.encode()', "the codec 'latin1'", quote(name));
  }
  if (text instanceof PyLongText) {
    context.charge(text.span.bytes.length);
    return new PyEncoded(text, countLatin1(text.span.bytes));
  }
  if (typeof text !== 'string') {
    return refuse('ERR_CHECKPOINT_PICKLE_TYPE', '_codecs.encode()', 'a text', kindOf(text));
  }
  context.charge(text.length);
  countLatin1(Buffer.from(text, 'utf8'));
  return new PyBytes({ bytes: Uint8Array.from(Buffer.from(text, 'latin1')), position: undefined }, false);
}

/** Number of latin-1 bytes that a UTF-8 text stands for; refuses characters beyond U+00FF. */
function countLatin1(utf8: Uint8Array): number {
  // In valid UTF-8 the characters up to U+00FF are those without a byte above 0xC3. No branches: arrays are noise.
  let following = 0;
  let beyond = 0;
  for (let at = 0; at < utf8.length; at++) {
    const byte = utf8[at]!;
    following += (byte >> 7) & ~(byte >> 6);
    beyond |= 0xc3 - byte;
  }
  if (beyond < 0 || !isUtf8(utf8)) {
    refuse('ERR_CHECKPOINT_PICKLE_VALUE', 'bytes that are carried as text', 'latin-1 characters', 'others');
  }
  return utf8.length - following;
}
