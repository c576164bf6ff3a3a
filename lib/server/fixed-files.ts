import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
};

/** A file that is served as it was when the server started. */
export interface FixedFile {
  readonly body: Buffer;
  readonly type: string;
  /** Of the content: files of a package all have the same date, and two versions may have one size. */
  readonly etag: string;
}

/** Reads a file that is to be served. Throws what reading throws. */
export function readFixedFile(path: string): FixedFile {
  const body = readFileSync(path);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { body, type: TYPES[extname(path)] ?? 'application/octet-stream', etag };
}

/** Answers with a file, or with 304 where the client has it. `cacheControl`: for how long it may be kept unasked. */
export function sendFixedFile(
  request: FastifyRequest,
  reply: FastifyReply,
  { body, type, etag }: FixedFile,
  cacheControl: string,
): FastifyReply {
  reply.headers({ etag, 'cache-control': cacheControl });
  const known = request.headers['if-none-match'];
  const tags = known?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (tags?.some((tag) => tag === etag || tag === '*')) return reply.code(304).send();
  return reply.type(type).send(body);
}
