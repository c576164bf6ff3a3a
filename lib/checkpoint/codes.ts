import { CheckpointError } from '../errors';

/** What kind of fault a refused checkpoint has. */
export type CheckpointCategory =
  | 'not-a-checkpoint'
  | 'damaged'
  | 'zip'
  | 'pickle'
  | 'code'
  | 'geometry'
  | 'unknown-class'
  | 'safetensors';

/** Every rule that a checkpoint file must keep: its error code, the category, and the rule in words. */
export const CHECKPOINT_RULES = {
  ERR_CHECKPOINT_EMPTY: ['not-a-checkpoint', 'the file has content'],
  ERR_CHECKPOINT_LFS_POINTER: [
    'not-a-checkpoint',
    'the file is the object itself, not a Git LFS pointer to it',
  ],
  ERR_CHECKPOINT_HTML: [
    'not-a-checkpoint',
    'the file is no web page (the usual result of a failed download)',
  ],
  ERR_CHECKPOINT_TORCHSCRIPT: [
    'not-a-checkpoint',
    'the archive holds a state dict, not a TorchScript program',
  ],
  ERR_CHECKPOINT_NO_PICKLE: ['not-a-checkpoint', 'the zip archive holds a data.pkl'],
  ERR_CHECKPOINT_FORMAT: ['not-a-checkpoint', 'the file begins as one of the four formats does'],

  ERR_CHECKPOINT_TRUNCATED: ['damaged', 'no value is cut off by the end of the file'],
  ERR_CHECKPOINT_CRC: ['damaged', "every zip entry has the CRC-32 that the archive's directory states"],
  ERR_CHECKPOINT_INFLATE: ['damaged', 'deflated entries inflate to exactly the stated size'],
  ERR_CHECKPOINT_BOOL: ['damaged', 'every byte of a bool tensor is 0 or 1'],
  ERR_CHECKPOINT_FILE_CHANGED: ['damaged', 'the file keeps its size while it is open'],
  ERR_CHECKPOINT_ZIP_NO_DIRECTORY: ['damaged', 'the zip archive ends with its central directory'],

  ERR_CHECKPOINT_ZIP_RECORD: [
    'zip',
    "the records of the zip's directory are well formed and lie where they must",
  ],
  ERR_CHECKPOINT_ZIP_ENTRIES: ['zip', 'the archive has at most 1,000,000 entries'],
  ERR_CHECKPOINT_ZIP_NAME: ['zip', 'entry names stay inside the archive'],
  ERR_CHECKPOINT_ZIP_DUPLICATE: ['zip', 'no two entries have one name'],
  ERR_CHECKPOINT_ZIP_RANGE: ['zip', 'entries lie inside the file, before the central directory'],
  ERR_CHECKPOINT_ZIP_OVERLAP: ['zip', 'no two entries share bytes'],
  ERR_CHECKPOINT_ZIP_LOCAL_HEADER: ['zip', "each entry's local header agrees with the central directory"],
  ERR_CHECKPOINT_ZIP_METHOD: ['zip', 'entries are stored or deflated'],
  ERR_CHECKPOINT_ZIP_ENCRYPTED: ['zip', 'entries are not encrypted'],
  ERR_CHECKPOINT_ZIP_ROOTS: ['zip', 'the archive has one data.pkl, in one root folder'],
  ERR_CHECKPOINT_ZIP_BOMB: ['zip', 'deflated entries are no larger than what they are declared to hold'],

  ERR_CHECKPOINT_PICKLE_PROTOCOL: ['pickle', 'the pickle protocol is 0 to 5'],
  ERR_CHECKPOINT_PICKLE_OPCODE: ['pickle', 'every opcode is one that a checkpoint needs'],
  ERR_CHECKPOINT_PICKLE_NO_STOP: ['pickle', 'the pickle ends with STOP'],
  ERR_CHECKPOINT_PICKLE_LENGTH: ['pickle', 'stated lengths are not negative and not absurd'],
  ERR_CHECKPOINT_PICKLE_VALUE: ['pickle', 'numbers and texts are well formed'],
  ERR_CHECKPOINT_PICKLE_STACK: ['pickle', 'opcodes find on the stack what they take from it'],
  ERR_CHECKPOINT_PICKLE_MEMO: ['pickle', 'only memo entries that exist are fetched'],
  ERR_CHECKPOINT_PICKLE_TYPE: ['pickle', 'opcodes and allowed functions get values of the right type'],
  ERR_CHECKPOINT_PICKLE_PERSISTENT_ID: [
    'pickle',
    'persistent ids stand where the format has them and name storages',
  ],
  ERR_CHECKPOINT_PICKLE_LIMIT: [
    'pickle',
    'the counts of operations, objects and memo entries stay in their limits',
  ],
  ERR_CHECKPOINT_PICKLE_DEPTH: ['pickle', 'values are nested at most 256 deep'],
  ERR_CHECKPOINT_PICKLE_CYCLE: ['pickle', 'no value contains itself'],
  ERR_CHECKPOINT_PICKLE_EXPANSION: [
    'pickle',
    'values that are shared do not stand for more than 10,000,000 in all',
  ],
  ERR_CHECKPOINT_LEGACY_HEADER: [
    'pickle',
    'the header pickles of a legacy file are the ones that PyTorch writes',
  ],
  ERR_CHECKPOINT_NO_STATE_DICT: ['pickle', 'the file holds a dictionary with tensors under text keys'],

  ERR_CHECKPOINT_CODE_GLOBAL: ['code', 'the pickle names nothing that could run code'],
  ERR_CHECKPOINT_CODE_CALL: ['code', 'the pickle calls only functions of the list'],

  ERR_CHECKPOINT_ELEMENT_TYPE: ['geometry', 'tensors have an element type that freqfusion has'],
  ERR_CHECKPOINT_TENSOR_ARGUMENTS: [
    'geometry',
    'tensors are made from a storage, an offset, a size and strides',
  ],
  ERR_CHECKPOINT_STORAGE_KEY: ['geometry', "storage keys name entries of the archive's data folder"],
  ERR_CHECKPOINT_STORAGE_MISSING: ['geometry', 'the storage of every tensor is in the file'],
  ERR_CHECKPOINT_STORAGE_SIZE: ['geometry', 'storages hold as many bytes as the tensors declare'],
  ERR_CHECKPOINT_BYTE_ORDER: ['geometry', 'the byte order is little or big'],
  ERR_CHECKPOINT_RANK: ['geometry', 'size and strides have one length, at most 64'],
  ERR_CHECKPOINT_SIZE: ['geometry', 'sizes are integers from 0'],
  ERR_CHECKPOINT_STRIDE: ['geometry', 'strides are integers from 0'],
  ERR_CHECKPOINT_OFFSET: ['geometry', 'storage offsets are integers from 0'],
  ERR_CHECKPOINT_OVERFLOW: ['geometry', 'element counts and positions fit in 53 bits'],
  ERR_CHECKPOINT_OUT_OF_STORAGE: ['geometry', 'tensors lie inside their storage'],
  ERR_CHECKPOINT_EXPANDED: ['geometry', 'expanded tensors (stride 0) are at most 16 MiB when written out'],
  ERR_CHECKPOINT_TOTAL_SIZE: [
    'geometry',
    'all tensors together are at most 16 times their storages, or 256 MiB',
  ],
  ERR_CHECKPOINT_NUMPY_DATA: ['geometry', 'the bytes of a numpy array fit its shape and element type'],

  ERR_CHECKPOINT_UNKNOWN_CLASS: [
    'unknown-class',
    'no object of an unknown class stands where a tensor must be',
  ],
  ERR_CHECKPOINT_WHOLE_MODEL: ['unknown-class', 'the file holds a state dict, not a whole pickled model'],

  ERR_CHECKPOINT_SAFETENSORS_LENGTH: [
    'safetensors',
    'the header ends inside the file and has at most 100 MB',
  ],
  ERR_CHECKPOINT_SAFETENSORS_JSON: ['safetensors', 'the header is JSON'],
  ERR_CHECKPOINT_SAFETENSORS_DEPTH: ['safetensors', "the header's JSON is nested at most 8 deep"],
  ERR_CHECKPOINT_SAFETENSORS_DUPLICATE: ['safetensors', 'no key of the header stands twice in its object'],
  ERR_CHECKPOINT_SAFETENSORS_ENTRY: [
    'safetensors',
    'entries have dtype, shape and data_offsets, and nothing else',
  ],
  ERR_CHECKPOINT_SAFETENSORS_METADATA: ['safetensors', '__metadata__ maps texts to texts'],
  ERR_CHECKPOINT_SAFETENSORS_DTYPE: ['safetensors', 'tensors have an element type that freqfusion has'],
  ERR_CHECKPOINT_SAFETENSORS_SHAPE: ['safetensors', 'sizes are integers from 0'],
  ERR_CHECKPOINT_SAFETENSORS_OVERFLOW: ['safetensors', 'element counts fit in 53 bits'],
  ERR_CHECKPOINT_SAFETENSORS_OFFSETS: [
    'safetensors',
    'data_offsets are two integers, begin before end, inside the file',
  ],
  ERR_CHECKPOINT_SAFETENSORS_SIZE: ['safetensors', 'data_offsets span exactly the bytes of the shape'],
  ERR_CHECKPOINT_SAFETENSORS_OVERLAP: ['safetensors', 'no two tensors share bytes'],
  ERR_CHECKPOINT_SAFETENSORS_HOLE: ['safetensors', 'every byte after the header belongs to a tensor'],
} as const satisfies Record<`ERR_CHECKPOINT_${string}`, readonly [CheckpointCategory, string]>;

/** The code of a rule that a checkpoint file can break. */
export type CheckpointCode = keyof typeof CHECKPOINT_RULES;

/** The category of a checkpoint's error code; undefined for any other code. */
export function categoryOf(code: string): CheckpointCategory | undefined {
  return Object.hasOwn(CHECKPOINT_RULES, code) ? CHECKPOINT_RULES[code as CheckpointCode][0] : undefined;
}

/** Throws the CheckpointError of a broken rule: "expected X for NAME, got Y", and what to do where it helps. */
export function refuse(
  code: CheckpointCode,
  name: string,
  expected: string,
  actual: string,
  hint = '',
): never {
  const way = hint === '' ? '' : `. ${hint}`;
  throw new CheckpointError(code, `expected ${expected} for ${name}, got ${actual}${way}`, {
    expected,
    actual,
  });
}

/** The same error with the file's name before its message; other errors pass as they are. */
export function renamedError(error: unknown, name: string): unknown {
  if (!(error instanceof CheckpointError)) return error;
  const { code, message, expected, actual } = error;
  return new CheckpointError(code, `${name}: ${message}`, { expected, actual, cause: error });
}

/** Words a text that comes from a file: quoted, without control characters, never long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 97)}...` : text);
}
