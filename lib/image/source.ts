import { readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AbortError, ImageError, invalidArgument } from '../errors';
import { type ImageInput, MAX_BYTES, type RawImage } from './types';

/** Encoded bytes, with the file that they came from. */
export interface EncodedSource {
  readonly kind: 'encoded';
  readonly bytes: Uint8Array;
  readonly file?: string;
}

/** Raw pixels, checked. */
export interface RawSource {
  readonly kind: 'raw';
  readonly image: Required<RawImage>;
}

/** Options of {@link readSource}. */
export interface SourceOptions {
  maxBytes?: number | undefined;
  signal?: AbortSignal | undefined;
}

const EXPECTED = 'a path, encoded bytes, a Blob, a stream, or { data, width, height }';

/** Throws ERR_ABORTED where the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError('ERR_ABORTED', 'the job was cancelled', { cause: signal.reason });
}

/** Narrows an image argument and reads its bytes. Throws ERR_TYPE, ERR_IMAGE_MISSING, ERR_IMAGE_READ or ERR_IMAGE_TOO_LARGE. */
export async function readSource(
  input: ImageInput,
  options: SourceOptions = {},
): Promise<EncodedSource | RawSource> {
  const { maxBytes = MAX_BYTES, signal } = options;
  throwIfAborted(signal);
  if (typeof input === 'string' || input instanceof URL) return readPath(input, maxBytes, signal);
  if (typeof input !== 'object' || input === null)
    throw invalidArgument('ERR_TYPE', 'image', EXPECTED, input);
  if (ArrayBuffer.isView(input))
    return encoded(new Uint8Array(input.buffer, input.byteOffset, input.byteLength), maxBytes);
  const tag = Object.prototype.toString.call(input);
  if (tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]') {
    return encoded(new Uint8Array(input as ArrayBuffer), maxBytes);
  }
  if ('data' in input && 'width' in input) return { kind: 'raw', image: checkRaw(input) };
  if (Symbol.asyncIterator in input) return readStream(input as AsyncIterable<unknown>, maxBytes, signal);
  if ('arrayBuffer' in input && typeof input.arrayBuffer === 'function') {
    checkBytes(input.size, maxBytes);
    return encoded(new Uint8Array(await input.arrayBuffer()), maxBytes);
  }
  throw invalidArgument('ERR_TYPE', 'image', EXPECTED, input);
}

function encoded(bytes: Uint8Array, maxBytes: number, file?: string): EncodedSource {
  checkBytes(bytes.length, maxBytes);
  return file === undefined ? { kind: 'encoded', bytes } : { kind: 'encoded', bytes, file };
}

function checkBytes(count: number, maxBytes: number, where = 'the image'): void {
  if (count <= maxBytes) return;
  throw new ImageError(
    'ERR_IMAGE_TOO_LARGE',
    `${where} has ${count} bytes, more than maxBytes, ${maxBytes}. Raise maxBytes if you trust it.`,
    { expected: `at most ${maxBytes} bytes`, actual: `${count} bytes` },
  );
}

async function readPath(
  input: string | URL,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<EncodedSource> {
  if (input instanceof URL && input.protocol !== 'file:') {
    throw invalidArgument('ERR_TYPE', 'image', 'a file: URL', input.href);
  }
  const file = typeof input === 'string' ? input : fileURLToPath(input);
  try {
    const status = await stat(file);
    if (status.isDirectory()) {
      throw new ImageError('ERR_IMAGE_READ', `${file} is a folder, not an image`, {
        expected: 'an image file',
        actual: 'a folder',
      });
    }
    checkBytes(status.size, maxBytes, file);
    // A pipe or a device says size 0 and may never end: it is read as a stream, under the same limit.
    if (!status.isFile()) return { ...(await readStream(await openStream(file), maxBytes, signal)), file };
    return encoded(await readFile(file, signal ? { signal } : {}), maxBytes, file);
  } catch (error) {
    throw pathError(file, error, signal);
  }
}

async function openStream(file: string): Promise<AsyncIterable<unknown>> {
  const { createReadStream } = await import('node:fs');
  return createReadStream(file);
}

function pathError(file: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof ImageError) return error;
  if (signal?.aborted) return new AbortError('ERR_ABORTED', 'the job was cancelled', { cause: error });
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new ImageError('ERR_IMAGE_MISSING', `there is no file ${file}`, {
      expected: 'an image file',
      actual: 'no such file',
      cause: error,
    });
  }
  return new ImageError('ERR_IMAGE_READ', `${file} cannot be read (${code})`, {
    expected: 'a readable file',
    actual: code,
    cause: error,
  });
}

async function readStream(
  stream: AsyncIterable<unknown>,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<EncodedSource> {
  const parts: Uint8Array[] = [];
  let count = 0;
  try {
    for await (const part of stream) {
      throwIfAborted(signal);
      if (!ArrayBuffer.isView(part)) {
        throw invalidArgument('ERR_TYPE', 'image', 'a stream of bytes (no encoding, no object mode)', part);
      }
      count += part.byteLength;
      checkBytes(count, maxBytes, 'the stream');
      parts.push(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
  } catch (error) {
    if (error instanceof ImageError || error instanceof AbortError || isTyped(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImageError('ERR_IMAGE_READ', `the image stream failed: ${reason}`, {
      cause: error,
      actual: reason,
    });
  }
  return { kind: 'encoded', bytes: Buffer.concat(parts) };
}

function isTyped(error: unknown): boolean {
  return (
    typeof (error as { code?: unknown }).code === 'string' && (error as { code: string }).code === 'ERR_TYPE'
  );
}

/** Checks raw pixels and fills in `channels`. Throws ERR_TYPE, ERR_RANGE or ERR_SHAPE. */
function checkRaw(input: RawImage): Required<RawImage> {
  const { data, width, height } = input;
  const tag = Object.prototype.toString.call(data);
  if (!ArrayBuffer.isView(data) || !/\[object Uint8(Clamped)?Array\]/.test(tag)) {
    throw invalidArgument('ERR_TYPE', 'image.data', 'a Uint8Array or Uint8ClampedArray', data);
  }
  for (const [name, side] of [
    ['image.width', width],
    ['image.height', height],
  ] as const) {
    if (!Number.isSafeInteger(side) || side < 1)
      throw invalidArgument('ERR_RANGE', name, 'an integer from 1', side);
  }
  const channels = input.channels ?? data.length / (width * height);
  if (![1, 2, 3, 4].includes(channels) || data.length !== width * height * channels) {
    const wanted = input.channels === undefined ? '1, 2, 3 or 4' : `${input.channels}`;
    throw invalidArgument(
      'ERR_SHAPE',
      'image.data',
      `${width} x ${height} x ${wanted} bytes`,
      `${data.length} bytes`,
    );
  }
  return { data, width, height, channels: channels as 1 | 2 | 3 | 4 };
}
