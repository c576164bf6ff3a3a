import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { writeBinary } from './binary';
import type { InferTensor } from './datatypes';
import { writeJsonData } from './json-data';

/** What an answer over REST is made of. */
export interface RestAnswer {
  readonly model: { readonly name: string; readonly version: string };
  readonly id: string;
  readonly outputs: readonly InferTensor[];
  binary(output: string): boolean;
}

/** The body of an answer, with the length of the JSON where binary data follows it. */
export interface RestBody {
  readonly body: Buffer | Readable;
  /** Bytes of the body, where it is a stream and they are known. */
  readonly length?: number;
  readonly jsonLength?: number;
}

/** Bytes of binary data up to which they are copied behind the JSON; more are handed on as they are. */
const COPIED = 2 ** 20;

/** Elements up to which the JSON of an answer is made in one go. */
const AT_ONCE = 65_536;

/** Makes the body of an answer. Much JSON becomes a stream of pieces, so that other requests get their turn. */
export function writeRestAnswer({ model, id, outputs, binary }: RestAnswer): RestBody {
  const tail: Buffer[] = [];
  const inJson: InferTensor[] = [];
  const heads = outputs.map((tensor) => {
    const { name, datatype, shape } = tensor;
    if (!binary(name)) {
      inJson.push(tensor);
      return JSON.stringify({ name, datatype, shape });
    }
    const bytes = writeBinary(tensor);
    tail.push(bytes);
    return JSON.stringify({ name, datatype, shape, parameters: { binary_data_size: bytes.length } });
  });
  const start = JSON.stringify({ model_name: model.name, model_version: model.version, id });
  const pieces = function* (): Generator<string, void, undefined> {
    yield `${start.slice(0, -1)},"outputs":[`;
    for (const [i, tensor] of outputs.entries()) {
      if (i > 0) yield ',';
      if (!inJson.includes(tensor)) {
        yield heads[i]!;
        continue;
      }
      yield `${heads[i]!.slice(0, -1)},"data":`;
      yield* writeJsonData(tensor);
      yield '}';
    }
    yield ']}';
  };
  const elements = inJson.reduce((sum, { data }) => sum + data.length, 0);
  if (tail.length === 0 && elements > AT_ONCE) return { body: Readable.from(inTurns(pieces())) };
  const json = Buffer.from([...pieces()].join(''));
  if (tail.length === 0) return { body: json };
  const parts = [json, ...tail];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length <= COPIED) return { body: Buffer.concat(parts), jsonLength: json.length };
  const filled = parts.filter((part) => part.length > 0);
  return { body: Readable.from(filled, { objectMode: false }), length, jsonLength: json.length };
}

/** The pieces with a turn of the event loop between them. */
async function* inTurns(pieces: Iterable<string>): AsyncGenerator<string, void, undefined> {
  for (const piece of pieces) {
    yield piece;
    await setImmediate();
  }
}
