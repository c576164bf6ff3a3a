import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage } from '../../lib/image/decode';
import { readBinary } from '../../lib/server/protocol/binary';
import type { Datatype, TensorData } from '../../lib/server/protocol/datatypes';

/** Pixels of `count` images of one size. */
export interface Pixels {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly count?: number;
}

/** An output of an answer. */
export interface Output {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** As JSON had it, or read from the binary data. */
  readonly data: TensorData | readonly unknown[];
}

/** An answer of an inference. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the server sent
  readonly body: any;
  readonly outputs: Readonly<Record<string, Output>>;
}

/** A request in JSON, and the binary data behind it. */
export interface Request {
  readonly inputs: readonly object[];
  readonly binary?: Uint8Array;
  readonly [member: string]: unknown;
}

/** Stripes: something that no two pixels in a row have in common. */
export function image(width = 32, height = 24, count = 1): Pixels {
  const pixels = Uint8Array.from({ length: count * height * width * 3 }, (_, i) => (i * 37) % 256);
  return { pixels, width, height, count };
}

/** A picture of shapes: its file, and its pixels. */
export async function picture(): Promise<Pixels & { file: Buffer }> {
  const file = readFileSync(join(__dirname, '..', '..', 'models', 'shapes', 'val', 'picture_00.png'));
  const { data, width, height } = await decodeImage(file);
  return { file, pixels: data, width, height };
}

/** A request with pixels as binary data; with `all`, for an answer with binary data alone. */
export function binaryRequest({ pixels, width, height, count = 1 }: Pixels, { all = false } = {}): Request {
  const parameters = { binary_data_size: pixels.length };
  return {
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [count, height, width, 3], parameters }],
    ...(all && { parameters: { binary_data_output: true } }),
    binary: pixels,
  };
}

/** The body of a request, and the length of its JSON. */
export function bodyOf({ binary, ...json }: Request): { body: Buffer; length: number } {
  const head = Buffer.from(JSON.stringify(json));
  return { body: binary === undefined ? head : Buffer.concat([head, binary]), length: head.length };
}

/** Sends a request and reads the answer, with the tensors of its binary data. */
export async function infer(
  url: string,
  model: string,
  request: Request,
  {
    encode = (body) => body,
    headers = {},
    signal,
  }: { encode?: (body: Buffer) => Buffer; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Reply> {
  const { body, length } = bodyOf(request);
  const own = request.binary === undefined ? {} : { 'inference-header-content-length': String(length) };
  const answer = await fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    body: new Uint8Array(encode(body)),
    headers: { ...own, ...headers },
    ...(signal !== undefined && { signal }),
  });
  return readReply(answer);
}

/** Reads an answer. */
export async function readReply(answer: Response): Promise<Reply> {
  const bytes = Buffer.from(await answer.arrayBuffer());
  const length = answer.headers.get('inference-header-content-length');
  let offset = length === null ? bytes.length : Number(length);
  const body = JSON.parse(bytes.subarray(0, offset).toString());
  const outputs: Record<string, Output> = {};
  for (const { name, datatype, shape, data, parameters } of body.outputs ?? []) {
    const size = parameters?.binary_data_size;
    if (size === undefined) outputs[name] = { datatype, shape, data };
    else {
      const count = shape.reduce((product: number, each: number) => product * each, 1);
      const part = bytes.subarray(offset, offset + size);
      outputs[name] = { datatype, shape, data: readBinary(datatype, count, part, name) };
      offset += size;
    }
  }
  return { status: answer.status, headers: answer.headers, body, outputs };
}

/** The JSON at a URL. */
// biome-ignore lint/suspicious/noExplicitAny: whatever JSON the server sent
export async function json(url: string): Promise<any> {
  return (await fetch(url)).json();
}
