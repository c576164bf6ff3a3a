import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ServerError } from './errors';

/** The keys of a server. Comparing takes as long for a wrong key as for a right one. */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digestOf);
  }

  /** Whether a key is asked for at all. */
  get required(): boolean {
    return this.#digests.length > 0;
  }

  /** Whether a key is one of them. */
  has(key: string): boolean {
    const given = digestOf(key);
    let found = false;
    for (const digest of this.#digests) found = timingSafeEqual(digest, given) || found;
    return found;
  }

  /**
   * Checks `Authorization: Bearer KEY` or `X-API-Key: KEY`; gRPC's metadata go by the same names.
   * Throws ServerError ERR_UNAUTHORIZED.
   */
  check(headers: IncomingHttpHeaders): void {
    if (!this.required) return;
    const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
    const key = bearer ?? headers['x-api-key'];
    if (typeof key === 'string' && this.has(key)) return;
    const actual = key === undefined ? 'none' : 'another';
    throw new ServerError(
      'ERR_UNAUTHORIZED',
      `expected an API key in Authorization: Bearer, or in X-API-Key, got ${actual}`,
      { expected: 'an API key', actual },
    );
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
