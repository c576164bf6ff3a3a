import { Redis } from 'ioredis';
import { invalidArgument, RedisError } from '../errors';

/** Where jobs lie if nothing else is said. */
export const DEFAULT_REDIS = 'redis://127.0.0.1:6379';

const EXPECTED = 'redis://[user:password@]host[:port][/database] or rediss://...';
const CONNECT_MILLISECONDS = 5000;

/**
 * A Redis URL without user and password, as messages may show it. Throws ERR_TYPE or ERR_REDIS_URL, never with the
 * URL itself: it may hold a password.
 */
export function redactUrl(url: unknown): string {
  if (typeof url !== 'string') throw invalidArgument('ERR_TYPE', 'redis', EXPECTED, typeof url);
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {
    // Refused below, as a URL of another kind is.
  }
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '') {
    throw new RedisError('ERR_REDIS_URL', `expected ${EXPECTED} for the Redis URL, got another text`, {
      expected: EXPECTED,
      actual: 'another text',
    });
  }
  const database = /^\/\d+$/.test(parsed.pathname) ? parsed.pathname : '';
  return `${parsed.protocol}//${parsed.host}${database}`;
}

/**
 * Connects to Redis. A server that cannot be reached at first is an error within five seconds; one that goes away later
 * is tried again for ever, and commands wait meanwhile. Throws ERR_REDIS_URL, ERR_REDIS_CONNECT or ERR_REDIS_AUTH.
 */
export async function openRedis(url: string): Promise<Redis> {
  const shown = redactUrl(url);
  let connected = false;
  let last: unknown;
  const redis: Redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MILLISECONDS,
    // How long the end of a process waits for the other side to close.
    disconnectTimeout: 100,
    // BullMQ's demand: commands wait for the connection instead of failing after some tries.
    maxRetriesPerRequest: null,
    // Copies of the connection, such as the one that BullMQ waits on, have this function, too.
    retryStrategy: (times) =>
      connected && !abandoned.has(redis) ? Math.min(100 * 2 ** Math.min(times, 5), 2000) : null,
  });
  redis.on('error', (error) => {
    last = error;
  });
  try {
    await redis.connect();
    await redis.ping();
    connected = true;
    return redis;
  } catch (error) {
    redis.disconnect();
    throw redisError(shown, /closed/i.test(String(error)) ? (last ?? error) : error);
  }
}

const abandoned = new WeakSet<Redis>();

/** Does not try a lost connection again, nor its copies: what waits for them fails. */
export function abandonRedis(redis: Redis): void {
  abandoned.add(redis);
  if (redis.status !== 'ready') redis.disconnect();
}

/** Closes a connection; one that is lost already, too. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => redis.disconnect());
  else redis.disconnect();
}

/**
 * What Redis or the way to it refused, as an error of ours: ERR_REDIS_AUTH, ERR_REDIS_CONNECT or ERR_REDIS_COMMAND.
 * The error underneath is not kept: it holds the command, and of a log-in that is the password.
 */
export function redisError(shown: string, error: unknown): RedisError {
  if (error instanceof RedisError) return error;
  const { message, code, name } = plain(error);
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password|without any password/i.test(message)) {
    const reason = /^\S+/.exec(message)?.[0] ?? 'refused';
    return new RedisError('ERR_REDIS_AUTH', `Redis at ${shown} refuses the user or password: ${reason}`, {
      expected: 'a user and password that Redis takes',
      actual: reason,
    });
  }
  if (name === 'ReplyError') {
    return new RedisError('ERR_REDIS_COMMAND', `Redis at ${shown} refuses a command: ${message}`, {
      actual: message,
    });
  }
  const reason = code ?? message;
  return new RedisError('ERR_REDIS_CONNECT', `Redis at ${shown} cannot be reached: ${reason}`, {
    expected: 'a Redis server',
    actual: reason,
  });
}

/** Runs work and turns what Redis refuses into a RedisError; errors of freqfusion pass through. */
export async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = await openRedis(url);
  try {
    return await work(redis);
  } catch (error) {
    throw isRedisFailure(error) ? redisError(redactUrl(url), error) : error;
  } finally {
    await closeRedis(redis);
  }
}

/** Whether an error is a reply of Redis or one of the connection. */
export function isRedisFailure(error: unknown): boolean {
  const { name, message } = plain(error);
  return name === 'ReplyError' || /Connection is closed|ECONNREFUSED|ECONNRESET/.test(message);
}

function plain(error: unknown): { name: string; message: string; code: string | undefined } {
  const {
    name = '',
    message = String(error),
    code,
    errors,
  } = (error ?? {}) as NodeJS.ErrnoException & {
    errors?: unknown[];
  };
  // A host with several addresses fails with all of their errors in one.
  if (message === '' && errors !== undefined && errors.length > 0) return plain(errors[0]);
  return { name, message, code };
}
