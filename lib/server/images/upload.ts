import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { sniffFormat } from '../../image/format';
import { ServerError } from '../errors';

/** An image that came with a request, still encoded. */
export interface Upload {
  readonly bytes: Uint8Array;
  /** Its file's name without the extension, of letters, digits, '.', '_' and '-' alone; 'image' where there is none. */
  readonly name: string;
}

/** What else than the image a form may bring: the options that a query may. */
const FIELDS = 16;

const EXPECTED = 'image/*, application/octet-stream or multipart/form-data';

/**
 * Makes an app's routes take images as their bodies: raw, or as the one file of a form, whose other fields stand for
 * options of the query. Bodies in another Content-Encoding than identity are refused: nothing is inflated.
 */
export async function acceptUploads(app: FastifyInstance, bodyLimit: number): Promise<void> {
  app.removeAllContentTypeParsers();
  for (const type of ['application/octet-stream', /^image\//i]) {
    app.addContentTypeParser(type, { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
      done(null, body),
    );
  }
  // Of JSON, of curl's default and of no type at all nothing is read.
  app.addContentTypeParser('*', (request, _payload, done) => {
    const actual = request.headers['content-type'] ?? 'none';
    done(mediaTypeError(EXPECTED, 'Content-Type', actual));
  });
  await app.register(multipart, {
    limits: {
      files: 1,
      fields: FIELDS,
      parts: FIELDS + 1,
      fieldNameSize: 64,
      fieldSize: 256,
      headerPairs: 16,
      fileSize: bodyLimit,
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    const encoding = request.headers['content-encoding'];
    if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
    reply.header('accept-encoding', 'identity');
    throw mediaTypeError('identity', 'Content-Encoding', encoding);
  });
  app.addHook('preValidation', async (request, reply) => {
    if (!request.isMultipart()) return;
    try {
      request.body = await readForm(request, bodyLimit);
    } catch (error) {
      // The rest of the form is not read: the connection is of no further use.
      reply.header('connection', 'close');
      throw error;
    }
  });
}

/** The image of a request. Throws ServerError ERR_REQUEST for none, and ERR_IMAGE_FORMAT for what is none. */
export function uploadOf(request: FastifyRequest): Upload {
  const { body } = request;
  const upload = Buffer.isBuffer(body) ? { bytes: body, name: 'image' } : (body as Upload | null | undefined);
  const expected = 'an image as the body, or as the one file of a form';
  if (upload === null || upload === undefined || upload.bytes.length === 0) {
    const actual = upload === null || upload === undefined ? 'none' : 'no bytes';
    throw new ServerError('ERR_REQUEST', `expected ${expected}, got ${actual}`, { expected, actual });
  }
  // Told before it waits for its turn; the decoder would tell it as well.
  const { other } = sniffFormat(upload.bytes);
  if (other !== undefined) {
    const image = 'a JPEG, PNG, WebP, TIFF, GIF or AVIF image';
    throw new ServerError('ERR_IMAGE_FORMAT', `expected ${image}, got ${other}`, {
      expected: image,
      actual: other,
    });
  }
  return upload;
}

function mediaTypeError(expected: string, header: string, actual: string): ServerError {
  return new ServerError(
    'ERR_MEDIA_TYPE',
    `expected ${expected} for ${header}, got ${JSON.stringify(actual)}`,
    {
      expected,
      actual: JSON.stringify(actual),
    },
  );
}

/** Reads the file of a form, and puts its other fields into the query, where they are checked as the query is. */
async function readForm(request: FastifyRequest, bodyLimit: number): Promise<Upload | undefined> {
  const query = request.query as Record<string, unknown>;
  let upload: Upload | undefined;
  const read = async () => {
    for await (const part of request.parts()) {
      if (part.type === 'file') {
        const bytes = await part.toBuffer();
        upload = { bytes, name: safeName(part.filename) };
      } else if (part.valueTruncated || part.fieldnameTruncated) {
        throw new ServerError('ERR_REQUEST', `the field ${JSON.stringify(part.fieldname)} is too long`);
      } else {
        query[part.fieldname] ??= part.value;
      }
    }
  };
  try {
    await Promise.race([read(), tooLong(request, bodyLimit)]);
  } catch (error) {
    throw formError(error, bodyLimit);
  }
  return upload;
}

/** What a form may have beside its file: headers, boundaries and fields. */
const SLACK = 64 * 1024;

/** Rejects when a form goes on past its limit; the parts that are skipped count as well. */
function tooLong(request: FastifyRequest, bodyLimit: number): Promise<never> {
  return new Promise((_, reject) => {
    let count = 0;
    const onData = (chunk: Buffer) => {
      count += chunk.length;
      if (count <= bodyLimit + SLACK) return;
      request.raw.off('data', onData);
      request.raw.unpipe();
      reject(bodyTooLarge(bodyLimit));
    };
    request.raw.on('data', onData);
  });
}

function bodyTooLarge(bodyLimit: number): ServerError {
  return new ServerError('ERR_BODY_TOO_LARGE', `expected a body of at most ${bodyLimit} bytes`, {
    expected: `at most ${bodyLimit} bytes`,
  });
}

function formError(error: unknown, bodyLimit: number): unknown {
  if (error instanceof ServerError) return error;
  const { code, message } = error as { code?: string; message: string };
  if (code === 'FST_REQ_FILE_TOO_LARGE') return bodyTooLarge(bodyLimit);
  const expected =
    code === 'FST_FILES_LIMIT'
      ? 'one file'
      : code === 'FST_FIELDS_LIMIT' || code === 'FST_PARTS_LIMIT'
        ? `at most ${FIELDS} fields beside the file`
        : 'a whole form';
  return new ServerError('ERR_REQUEST', `expected ${expected}: ${message}`, {
    expected,
    actual: message,
    cause: error,
  });
}

/** A file's name as it may stand in a header: what a client calls it is not to be trusted. */
export function safeName(filename: string | undefined): string {
  const last = (filename ?? '')
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.[^.]*$/, '');
  const safe = last
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^[._]+/, '')
    .slice(0, 64);
  return safe === '' ? 'image' : safe;
}
