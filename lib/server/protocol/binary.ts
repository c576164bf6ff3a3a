import { invalidArgument } from '../../errors';
import { type Datatype, type InferTensor, NUMERIC, type TensorData } from './datatypes';

/** Bytes before each element of a BYTES tensor: its length, little-endian. */
const PREFIX = 4;

/**
 * Reads a tensor in its binary form: numbers row-major and little-endian, elements of BYTES each behind their length
 * in 4 bytes. UINT8 and BYTES borrow the bytes, the others copy them.
 * Throws ERR_REQUEST_SHAPE where the bytes are not those of `count` elements.
 */
export function readBinary(datatype: Datatype, count: number, bytes: Uint8Array, name: string): TensorData {
  if (datatype === 'BYTES') return readElements(count, bytes, name);
  const layout = NUMERIC[datatype];
  const expected = count * layout.bytes;
  if (bytes.length !== expected) {
    throw invalidArgument(
      'ERR_REQUEST_SHAPE',
      name,
      `${count} x ${layout.bytes} = ${expected} bytes of ${datatype}`,
      bytes.length,
    );
  }
  if (layout.array === Uint8Array) return bytes;
  // Not slice(): a Buffer's gives a view.
  return new layout.array(new Uint8Array(bytes).buffer);
}

function readElements(count: number, bytes: Uint8Array, name: string): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Before any element is made: a count may be anything, its lengths alone take this many bytes.
  if (count * PREFIX > bytes.length) {
    throw invalidArgument(
      'ERR_REQUEST_SHAPE',
      name,
      `at least ${count * PREFIX} bytes: the lengths of ${count} elements`,
      bytes.length,
    );
  }
  const elements: Uint8Array[] = [];
  let offset = 0;
  for (let i = 0; i < count; i += 1) {
    const left = bytes.length - offset - PREFIX;
    const length = left < 0 ? 0 : view.getUint32(offset, true);
    if (length > left) {
      const wanted = `element ${i} of ${length} bytes behind its length`;
      throw invalidArgument('ERR_REQUEST_SHAPE', name, wanted, `${Math.max(0, left)} bytes`);
    }
    offset += PREFIX;
    elements.push(bytes.subarray(offset, offset + length));
    offset += length;
  }
  if (offset !== bytes.length) {
    throw invalidArgument('ERR_REQUEST_SHAPE', name, `${offset} bytes for ${count} elements`, bytes.length);
  }
  return elements;
}

/** Writes a tensor in its binary form; numbers borrow the data. */
export function writeBinary({ data }: Pick<InferTensor, 'data'>): Buffer {
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const parts: Uint8Array[] = [];
  for (const element of data) {
    const prefix = Buffer.alloc(PREFIX);
    prefix.writeUInt32LE(element.length);
    parts.push(prefix, element);
  }
  return Buffer.concat(parts);
}
