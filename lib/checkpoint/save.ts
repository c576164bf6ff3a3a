import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { DTYPE_BYTES, type DType } from '../dtype';
import { invalidArgument } from '../errors';
import { SAFETENSORS_DTYPES } from './safetensors';
import { byteLengthOf, type StateDict, type StateDictEntry } from './state-dict';

/** Options of {@link saveSafetensors}. */
export interface SaveOptions {
  /** Texts for the file's `__metadata__`. */
  metadata?: Readonly<Record<string, string>>;
  /** Converts floating-point tensors to this dtype; integers and bools stay as they are. Default: no conversion. */
  dtype?: 'float32' | 'float64' | 'float16' | 'bfloat16';
}

const NAMES = new Map(Object.entries(SAFETENSORS_DTYPES).map(([name, dtype]) => [dtype, name]));
const FLOATS: readonly DType[] = ['float64', 'float32', 'float16', 'bfloat16'];
const CHUNK = 16 << 20;

/**
 * Writes tensors as a safetensors file. Tensors are sorted by alignment and name, so that every one is aligned in a
 * mapping; each is written in C order under its own name, also where two share memory. The file appears at its path
 * whole or not at all: a temporary file beside it is renamed at the end. Resolves to the number of bytes written.
 */
export async function saveSafetensors(
  path: string,
  dict: StateDict,
  options: SaveOptions = {},
): Promise<number> {
  const { dtype } = options;
  if (dtype !== undefined && !FLOATS.includes(dtype)) {
    throw invalidArgument('ERR_DTYPE', 'dtype', `one of ${FLOATS.join(', ')}`, dtype);
  }
  const entries = [...dict].map((entry) => ({ entry, dtype: targetOf(entry.dtype, dtype) }));
  entries.sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || compare(a.entry.name, b.entry.name));
  const header = headerOf(entries, options.metadata);
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx');
  let written = 0;
  try {
    try {
      const write = async (bytes: Uint8Array): Promise<void> => {
        for (let at = 0; at < bytes.length; at += CHUNK) await file.writeFile(bytes.subarray(at, at + CHUNK));
        written += bytes.length;
      };
      await write(header);
      for (const each of entries) await write(bytesOf(each.entry, each.dtype));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return written;
}

interface Planned {
  readonly entry: StateDictEntry;
  readonly dtype: DType;
}

function targetOf(own: DType, wanted: DType | undefined): DType {
  return wanted !== undefined && FLOATS.includes(own) ? wanted : own;
}

function bytesOf(entry: StateDictEntry, dtype: DType): Uint8Array {
  if (entry.dtype === dtype) return entry.bytes();
  const tensor = entry.tensor();
  const converted = tensor.to(dtype);
  const data = converted.dataSync();
  tensor.dispose();
  converted.dispose();
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Eight bytes of length and the JSON, padded with spaces so that the data begin at a multiple of eight. */
function headerOf(
  entries: readonly Planned[],
  metadata: Readonly<Record<string, string>> | undefined,
): Uint8Array {
  const fields: [string, unknown][] = [];
  if (metadata !== undefined && Object.keys(metadata).length > 0) {
    for (const [key, text] of Object.entries(metadata)) {
      if (typeof text !== 'string') throw invalidArgument('ERR_TYPE', `metadata.${key}`, 'a text', text);
    }
    fields.push(['__metadata__', metadata]);
  }
  let at = 0;
  for (const { entry, dtype } of entries) {
    if (entry.name === '__metadata__') {
      throw invalidArgument('ERR_CHECKPOINT_NAME', 'tensor name', 'any name but __metadata__', entry.name);
    }
    const size = byteLengthOf({ dtype, shape: entry.shape });
    fields.push([entry.name, { dtype: NAMES.get(dtype), shape: entry.shape, data_offsets: [at, at + size] }]);
    at += size;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(fields)), 'utf8');
  const length = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + length, ' ');
  header.writeBigUInt64LE(BigInt(length), 0);
  json.copy(header, 8);
  return header;
}

/** By code units, as every other writer sorts: not by the reader's language. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
