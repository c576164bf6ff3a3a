import { DTYPE_BYTES, type DType } from '../dtype';
import { quote, refuse } from './codes';
import { checkLayout, checkShape, countOf, fortranStrides, packedStrides, type TensorSpec } from './geometry';
import {
  kindOf,
  type PickleContext,
  PyArray,
  PyArrayType,
  PyBytes,
  PyEncoded,
  PyGlobal,
  PyOpaque,
  PyTuple,
  PyUnsupported,
  type PyValue,
  textOf,
} from './pickle/values';
import { PickleStorage, type Storage } from './storage';

const DTYPES: Readonly<Record<string, DType>> = {
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  b1: 'bool',
};

/** `numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b'b')`: an empty array, which BUILD fills. */
export function reconstruct(args: readonly PyValue[]): PyValue {
  const type = args[0];
  if (!(type instanceof PyGlobal)) wrongArguments('numpy _reconstruct()', 'an array class', type);
  return type.path === 'numpy.ndarray' ? new PyArray(false) : new PyOpaque(type.path);
}

/** `numpy.core.multiarray.scalar(dtype, bytes)`. */
export function scalar(args: readonly PyValue[], context: PickleContext): PyValue {
  const [type, data] = args;
  if (!(type instanceof PyArrayType)) wrongArguments('numpy scalar()', 'a dtype', type);
  const made = new PyArray(true);
  made.content = arrayOf(type, [], inRows, data, context);
  return made;
}

/**
 * `numpy.core.numeric._frombuffer(buffer, dtype, shape, order, axes)`, as protocol 5 has it. Order 'K' (numpy 2.3 on)
 * is an array in C order whose axes are then permuted.
 */
export function fromBuffer(args: readonly PyValue[], context: PickleContext): PyValue {
  const [data, type, shape, order, axes] = args;
  if (!(type instanceof PyArrayType)) wrongArguments('numpy _frombuffer()', 'a dtype', type);
  if (!(shape instanceof PyTuple)) wrongArguments('numpy _frombuffer()', 'a shape tuple', shape);
  const letter = order === undefined ? 'C' : textOf(order);
  if (letter !== 'C' && letter !== 'F' && letter !== 'K') {
    wrongArguments('numpy _frombuffer()', "order 'C', 'F' or 'K'", order);
  }
  const made = new PyArray(false);
  const arrange = letter === 'F' ? inColumns : letter === 'K' ? permuted(axes, shape.items.length) : inRows;
  made.content = arrayOf(type, shape.items, arrange, data, context);
  return made;
}

/** `numpy.dtype(code, align, copy)`. */
export function dtype(args: readonly PyValue[]): PyValue {
  const code = args[0] === undefined ? undefined : textOf(args[0]);
  if (code === undefined) wrongArguments('numpy dtype()', 'a type code', args[0]);
  return new PyArrayType(code);
}

/** BUILD on a dtype: (version, order, subdtype, names, fields, ...). */
export function setTypeState(type: PyArrayType, state: PyValue): PyArrayType {
  const items = state instanceof PyTuple ? state.items : [];
  const order = items[1] === undefined ? undefined : textOf(items[1]);
  if (order === undefined || !['<', '>', '=', '|'].includes(order)) {
    wrongArguments('the state of a numpy dtype', 'a byte order', items[1]);
  }
  type.order = order;
  return type;
}

/** BUILD on an array: (version, shape, dtype, isFortran, data). */
export function setArrayState(array: PyArray, state: PyValue, context: PickleContext): PyArray {
  const items = state instanceof PyTuple ? state.items : [];
  const [, shape, type, fortran, data] = items;
  if (!(shape instanceof PyTuple)) wrongArguments('the state of a numpy array', 'a shape tuple', shape);
  if (!(type instanceof PyArrayType)) wrongArguments('the state of a numpy array', 'a dtype', type);
  const columns = fortran === true || fortran === 1;
  array.content = arrayOf(type, shape.items, columns ? inColumns : inRows, data, context);
  return array;
}

/** Shape and strides of an array, from the sides of the block of memory that it fills. */
type Arrange = (sides: number[]) => { shape: number[]; strides: number[] };

const inRows: Arrange = (sides) => ({ shape: sides, strides: packedStrides(sides) });
const inColumns: Arrange = (sides) => ({ shape: sides, strides: fortranStrides(sides) });

function permuted(axes: PyValue | undefined, rank: number): Arrange {
  if (axes === undefined || axes === null) return inRows;
  const order = axes instanceof PyTuple ? axes.items.map(Number) : [];
  const sorted = [...order].sort((a, b) => a - b);
  if (order.length !== rank || sorted.some((axis, i) => axis !== i)) {
    wrongArguments('numpy _frombuffer()', `each of the ${rank} axes once`, axes);
  }
  return (sides) => {
    const strides = packedStrides(sides);
    return { shape: order.map((axis) => sides[axis]!), strides: order.map((axis) => strides[axis]!) };
  };
}

function arrayOf(
  type: PyArrayType,
  shape: readonly PyValue[],
  arrange: Arrange,
  data: PyValue | undefined,
  context: PickleContext,
): TensorSpec | PyUnsupported {
  const element = Object.hasOwn(DTYPES, type.code) ? DTYPES[type.code] : undefined;
  if (element === undefined) return new PyUnsupported(`a numpy array of dtype ${quote(type.code)}`);
  const sides = checkShape('a numpy array', shape);
  const bytes = countOf(sides) * DTYPE_BYTES[element];
  const storage = storageOf(data, type.order === '>', context);
  if (bytes !== storage.length) {
    const expected = `${bytes} bytes for [${sides.join(', ')}] of ${element}`;
    refuse('ERR_CHECKPOINT_NUMPY_DATA', 'a numpy array', expected, `${storage.length}`);
  }
  const spec = checkLayout('a numpy array', { dtype: element, ...arrange(sides), offset: 0 }, storage);
  context.budget.add(spec);
  return spec;
}

function storageOf(data: PyValue | undefined, bigEndian: boolean, context: PickleContext): Storage {
  const { source } = context;
  context.arrays += 1;
  const id = `array ${context.arrays}`;
  if (data instanceof PyEncoded) {
    return new PickleStorage(source, id, data.length, bigEndian, undefined, () => data.decode());
  }
  if (data instanceof PyBytes) {
    const { bytes, position } = data.span;
    return new PickleStorage(source, id, bytes.length, bigEndian, position, () => bytes);
  }
  refuse('ERR_CHECKPOINT_NUMPY_DATA', 'a numpy array', 'bytes', kindOf(data));
}

function wrongArguments(what: string, expected: string, actual: PyValue | undefined): never {
  refuse('ERR_CHECKPOINT_PICKLE_TYPE', what, expected, kindOf(actual));
}
