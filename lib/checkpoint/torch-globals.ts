import { DTYPE_BYTES, DTYPES, type DType } from '../dtype';
import { refuse } from './codes';
import { checkLayout } from './geometry';
import {
  type GlobalRole,
  kindOf,
  type PickleContext,
  PyArray,
  PyGlobal,
  PyOpaque,
  PyStorage,
  PyTensor,
  PyTuple,
  PyUnsupported,
  type PyValue,
  textOf,
} from './pickle/values';

const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
};

/** Storage classes without a dtype here, by bytes per element: to step over them, and to name them. */
const OTHER_STORAGES: Readonly<Record<string, number>> = {
  ComplexDoubleStorage: 16,
  ComplexFloatStorage: 8,
  QInt32Storage: 4,
  QInt8Storage: 1,
  QUInt8Storage: 1,
  QUInt4x2Storage: 1,
  QUInt2x4Storage: 1,
};

const TORCH_DTYPES =
  `float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 uint8 bool uint16 uint32
  uint64 complex32 chalf complex64 cfloat complex128 cdouble quint8 qint8 qint32 quint4x2 quint2x4 float8_e4m3fn
  float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2`
    .trim()
    .split(/\s+/);

const TORCH_CONSTANTS =
  `strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged contiguous_format preserve_format channels_last
  channels_last_3d per_tensor_affine per_channel_affine`
    .trim()
    .split(/\s+/);

/** Rebuild functions of tensors that freqfusion has no form for: an error only where a tensor is wanted. */
const UNSUPPORTED_REBUILDS = [
  '_rebuild_sparse_tensor',
  '_rebuild_sparse_csr_tensor',
  '_rebuild_nested_tensor',
  '_rebuild_qtensor',
  '_rebuild_meta_tensor_no_storage',
  '_rebuild_wrapper_subclass',
  '_rebuild_device_tensor_from_numpy',
  '_rebuild_device_tensor_from_cpu_tensor',
  '_rebuild_xla_tensor',
];

const PLAIN_TENSOR_TYPES = new Set([
  'torch.Tensor',
  'torch._tensor.Tensor',
  'torch.nn.Parameter',
  'torch.nn.parameter.Parameter',
  'torch.nn.parameter.Buffer',
]);

/** The part of the list of allowed globals that belongs to PyTorch, by "module name". */
export function torchGlobals(): Map<string, GlobalRole> {
  const list = new Map<string, GlobalRole>();
  for (const module of ['torch', 'torch.cuda', 'torch.storage']) {
    const add = (name: string, dtype: DType | undefined | null, bytes: number) =>
      list.set(`${module} ${name}`, { kind: 'storage', dtype, bytes });
    for (const [name, dtype] of Object.entries(STORAGE_DTYPES)) add(name, dtype, DTYPE_BYTES[dtype]);
    for (const [name, bytes] of Object.entries(OTHER_STORAGES)) add(name, undefined, bytes);
    for (const name of ['UntypedStorage', '_UntypedStorage']) add(name, null, 1);
  }
  for (const name of [...TORCH_DTYPES, ...TORCH_CONSTANTS]) {
    list.set(`torch ${name}`, { kind: 'constant', text: `torch.${name}` });
  }
  const calls: Readonly<Record<string, (args: readonly PyValue[], context: PickleContext) => PyValue>> = {
    'torch._utils _rebuild_tensor': rebuildTensor,
    'torch._utils _rebuild_tensor_v2': rebuildTensor,
    'torch._utils _rebuild_tensor_v3': rebuildUntyped,
    'torch._utils _rebuild_parameter': rebuildParameter,
    'torch._utils _rebuild_parameter_with_state': rebuildParameter,
    'torch._tensor _rebuild_from_type_v2': rebuildFromType,
    'torch Size': size,
    'torch device': device,
    'torch.serialization _get_layout': layout,
  };
  for (const [name, call] of Object.entries(calls)) list.set(name, { kind: 'call', call });
  for (const name of UNSUPPORTED_REBUILDS) {
    const call = () => new PyUnsupported(`a tensor made by torch._utils.${name}`);
    list.set(`torch._utils ${name}`, { kind: 'call', call });
  }
  return list;
}

/** The role of a storage class that is in none of the tables above. */
export function unknownStorage(module: string, name: string): GlobalRole | undefined {
  const known = ['torch', 'torch.cuda', 'torch.storage'].includes(module) && /^\w+Storage$/.test(name);
  return known ? { kind: 'storage', dtype: undefined, bytes: undefined } : undefined;
}

/** (storage, offset, size, stride, ...): what follows concerns gradients and hooks alone. */
function rebuildTensor(args: readonly PyValue[], context: PickleContext): PyValue {
  const storage = checkStorage(args[0]);
  if (storage.dtype === undefined) return new PyUnsupported(`a tensor over ${storage.typeName}`);
  if (storage.dtype === null) wrongArguments('a typed storage', args[0]);
  return build(storage, storage.dtype, args, context);
}

/** (untyped storage, offset, size, stride, requiresGrad, hooks, dtype, ...). */
function rebuildUntyped(args: readonly PyValue[], context: PickleContext): PyValue {
  const storage = checkStorage(args[0]);
  const wanted = args[6];
  if (!(wanted instanceof PyGlobal) || wanted.role.kind !== 'constant')
    wrongArguments('a torch dtype', wanted);
  const { name } = wanted;
  if (!(DTYPES as readonly string[]).includes(name)) return new PyUnsupported(`a tensor of ${wanted.path}`);
  return build(storage, name as DType, args, context);
}

function build(
  { storage, start }: PyStorage,
  dtype: DType,
  args: readonly PyValue[],
  context: PickleContext,
): PyTensor {
  const [, offset, shape, strides] = args;
  if (!(shape instanceof PyTuple)) wrongArguments('a tuple of sizes', shape);
  if (!(strides instanceof PyTuple)) wrongArguments('a tuple of strides', strides);
  const first = start > 0 && typeof offset === 'number' && offset >= 0 ? offset + start : offset;
  const spec = checkLayout(
    `a tensor of storage ${storage.id}`,
    { dtype, shape: shape.items, strides: strides.items, offset: first },
    storage,
  );
  context.budget.add(spec);
  return new PyTensor(spec);
}

function rebuildParameter(args: readonly PyValue[]): PyValue {
  const data = args[0];
  if (data instanceof PyTensor || data instanceof PyUnsupported || data instanceof PyOpaque) return data;
  return wrongArguments('a tensor', data);
}

/** (rebuild function, type, its arguments, state): parameters and tensors that carry Python attributes. */
function rebuildFromType(args: readonly PyValue[], context: PickleContext): PyValue {
  const [make, type, inner] = args;
  const rebuilds = make instanceof PyGlobal && make.module === 'torch._utils' && make.role.kind === 'call';
  if (!rebuilds || make.role.kind !== 'call') wrongArguments('a rebuild function', make);
  if (!(type instanceof PyGlobal)) wrongArguments('a tensor class', type);
  if (!(inner instanceof PyTuple)) wrongArguments('a tuple of arguments', inner);
  // A subclass of Tensor may give its elements any meaning: only the plain classes are taken at their word.
  return PLAIN_TENSOR_TYPES.has(type.path) ? make.role.call(inner.items, context) : new PyOpaque(type.path);
}

function size(args: readonly PyValue[]): PyValue {
  const sides = args[0] ?? new PyTuple([]);
  return sides instanceof PyTuple ? sides : wrongArguments('a tuple of sizes', sides);
}

function device(args: readonly PyValue[]): PyValue {
  const type = args[0] === undefined ? undefined : textOf(args[0]);
  if (type === undefined) return wrongArguments('a device name', args[0]);
  return typeof args[1] === 'number' ? `${type}:${args[1]}` : type;
}

function layout(args: readonly PyValue[]): PyValue {
  return (
    (args[0] === undefined ? undefined : textOf(args[0])) ?? wrongArguments('the name of a layout', args[0])
  );
}

function checkStorage(value: PyValue | undefined): PyStorage {
  return value instanceof PyStorage ? value : wrongArguments('a storage', value);
}

function wrongArguments(expected: string, actual: PyValue | undefined): never {
  const shown = actual instanceof PyArray ? 'a numpy array' : kindOf(actual);
  refuse('ERR_CHECKPOINT_TENSOR_ARGUMENTS', 'a tensor or torch value of the pickle', expected, shown);
}
