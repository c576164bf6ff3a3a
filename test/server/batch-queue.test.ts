import { setTimeout as delay } from 'node:timers/promises';
import { BatchQueue, type BatchQueueInit, type Outcome, type Ticket } from '../../lib/server/batch-queue';

interface Item {
  readonly name: string;
  readonly key?: string;
  readonly bytes?: number;
}

/** A batch that runs until the test ends it. */
interface Run {
  readonly names: readonly string[];
  readonly signal: AbortSignal;
  end(outcomes?: readonly Outcome<string>[]): void;
  fail(error: unknown): void;
}

/** A queue whose batches the test ends by hand. */
function makeQueue(init: Partial<BatchQueueInit<Item, string>> = {}) {
  const runs: Run[] = [];
  const discarded: string[] = [];
  const queue = new BatchQueue<Item, string>({
    batch: { size: 2, delay: 0 },
    queue: { length: 4, bytes: 100 },
    instances: 1,
    keyOf: ({ key = 'same' }) => key,
    bytesOf: ({ bytes = 1 }) => bytes,
    run: (items, signal) =>
      new Promise((resolve, reject) => {
        const names = items.map(({ name }) => name);
        const good = names.map((name) => ({ ok: true as const, result: `${name}!` }));
        runs.push({ names, signal, end: (outcomes = good) => resolve(outcomes), fail: reject });
      }),
    discard: (result) => discarded.push(result),
    ...init,
  });
  const submit = (item: string | Item, ticket?: Ticket) =>
    queue.submit(typeof item === 'string' ? { name: item } : item, ticket).then(
      ({ result, batch }) => `${result} of ${batch}`,
      (error: { code?: string; message: string }) => error.code ?? error.message,
    );
  /** Ends batches, one after the other, until nothing waits; gives their names. */
  const drain = async (): Promise<string[]> => {
    for (let i = 0; ; i += 1) {
      await delay(1);
      const run = runs[i];
      if (run === undefined) return runs.map(({ names }) => names.join(''));
      run.end();
    }
  };
  return { queue, runs, discarded, submit, drain };
}

describe('a batch queue', () => {
  test('puts what waits through together, in the order of its arrival', async () => {
    const { submit, drain } = makeQueue();
    const answers = ['a', 'b', 'c', 'd', 'e'].map((name) => submit(name));
    expect(await drain()).toEqual(['a', 'bc', 'de']);
    expect(await Promise.all(answers)).toEqual(['a! of 1', 'b! of 2', 'c! of 2', 'd! of 2', 'e! of 2']);
  });

  test('lets the urgent go first and the patient last', async () => {
    const { submit, drain } = makeQueue({ batch: { size: 1, delay: 0 } });
    void submit('a');
    void submit('l', { priority: 'low' });
    void submit('n');
    void submit('h', { priority: 'high' });
    void submit('i', { priority: 'high' });
    expect(await drain()).toEqual(['a', 'h', 'i', 'n', 'l']);
  });

  test('puts only what is of the same kind into one batch', async () => {
    const { submit, drain } = makeQueue();
    void submit('a');
    for (const [name, key] of ['bx', 'cy', 'dx', 'ey'].map((each) => [...each] as [string, string]))
      void submit({ name, key });
    expect(await drain()).toEqual(['a', 'bd', 'ce']);
  });

  test('waits for others while it is idle, and not once a batch is full', async () => {
    const { submit, runs } = makeQueue({ batch: { size: 2, delay: 60_000 } });
    void submit('a');
    await delay(5);
    expect(runs).toHaveLength(0);
    void submit('b');
    expect(runs.map(({ names }) => names)).toEqual([['a', 'b']]);
    runs[0]!.end();
  });

  test('lets a full batch go before an earlier item that still waits for others', async () => {
    const { submit, runs, queue } = makeQueue({ batch: { size: 2, delay: 60_000 } });
    const first = submit({ name: 'a', key: 'x' });
    void submit({ name: 'b', key: 'y' });
    void submit({ name: 'c', key: 'y' });
    expect(runs.map(({ names }) => names)).toEqual([['b', 'c']]);
    runs[0]!.end();
    const closed = queue.close();
    await delay(1);
    runs[1]!.end();
    await closed;
    expect(await first).toBe('a! of 1');
  });

  test('lets an item that nothing joined go after the delay', async () => {
    const { submit, runs } = makeQueue({ batch: { size: 2, delay: 10 } });
    const answer = submit('a');
    while (runs.length === 0) await delay(1);
    runs[0]!.end();
    expect(await answer).toBe('a! of 1');
  });

  test('keeps as many batches in flight as there are instances', async () => {
    const { submit, runs, queue } = makeQueue({ instances: 2, batch: { size: 1, delay: 0 } });
    for (const name of 'abc') void submit(name);
    expect([runs.length, queue.inFlight, queue.length]).toEqual([2, 2, 1]);
    runs[1]!.end();
    await delay(1);
    expect([runs.length, queue.inFlight, queue.length]).toEqual([3, 2, 0]);
    for (const run of runs) run.end();
  });

  test('gives each item of a batch its own outcome', async () => {
    const { submit, runs } = makeQueue({ batch: { size: 3, delay: 60_000 } });
    const answers = ['a', 'b', 'c'].map((name) => submit(name));
    runs[0]!.end([
      { ok: true, result: 'fine' },
      { ok: false, error: new Error('broken') },
    ]);
    expect(await Promise.all(answers)).toEqual([
      'fine of 3',
      'broken',
      'the batch has no outcome for an item',
    ]);
  });

  test('goes on after a batch that failed', async () => {
    const { submit, runs } = makeQueue();
    const first = submit('a');
    runs[0]!.fail(new Error('out of order'));
    expect(await first).toBe('out of order');
    const second = submit('b');
    runs[1]!.end();
    expect(await second).toBe('b! of 1');
  });
});

describe('limits', () => {
  test('what does not fit is refused at once, with the seconds after which to try again', async () => {
    const { queue, submit, drain } = makeQueue();
    for (const name of 'abcde') void submit(name);
    const refused = await queue.submit({ name: 'f' }).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'ERR_QUEUE_FULL',
      retryAfter: 1,
      expected: 'at most 4 waiting images',
    });
    expect(await drain()).toEqual(['a', 'bc', 'de']);
  });

  test('bytes count as well, but one item always fits', async () => {
    const { submit, queue, drain } = makeQueue();
    void submit('a');
    void submit({ name: 'b', bytes: 500 });
    expect(queue.bytes).toBe(500);
    expect(await submit({ name: 'c', bytes: 1 })).toBe('ERR_QUEUE_FULL');
    expect(await drain()).toEqual(['a', 'b']);
    expect(queue.bytes).toBe(0);
  });

  test('the time to try again grows with what waits', async () => {
    const { submit, queue, runs } = makeQueue({
      batch: { size: 1, delay: 0 },
      queue: { length: 500, bytes: 1e6 },
    });
    void submit('a');
    await delay(50);
    runs[0]!.end();
    await delay(1);
    for (let i = 0; i < 201; i += 1) void submit('b');
    expect(queue.retryAfter).toBeGreaterThan(5);
    expect(queue.retryAfter).toBeLessThanOrEqual(60);
    queue.abort(new Error('end'));
  });
});

describe('giving up', () => {
  test('an item whose time is over leaves the queue', async () => {
    const { submit, queue, runs } = makeQueue();
    void submit('a');
    expect(await submit('b', { timeout: 5 })).toBe('ERR_DEADLINE');
    expect(await submit('c', { timeout: 0 })).toBe('ERR_DEADLINE');
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
    runs[0]!.end();
  });

  test('an item whose client has gone leaves the queue', async () => {
    const { submit, queue, runs } = makeQueue();
    const controller = new AbortController();
    void submit('a');
    const answer = submit('b', { signal: controller.signal });
    controller.abort();
    expect(await answer).toBe('ERR_ABORTED');
    expect(await submit('c', { signal: controller.signal })).toBe('ERR_ABORTED');
    expect(queue.length).toBe(0);
    runs[0]!.end();
  });

  test('a batch is cancelled when nobody waits for any of its items, and what it gives is freed', async () => {
    const { submit, runs, discarded } = makeQueue({ batch: { size: 2, delay: 60_000 } });
    const controller = new AbortController();
    const first = submit('a', { signal: controller.signal });
    const second = submit('b', { timeout: 20 });
    controller.abort();
    expect(await first).toBe('ERR_ABORTED');
    expect(runs[0]!.signal.aborted).toBe(false);
    expect(await second).toBe('ERR_DEADLINE');
    expect(runs[0]!.signal.aborted).toBe(true);
    runs[0]!.end();
    await delay(1);
    expect(discarded).toEqual(['a!', 'b!']);
  });
});

describe('the end', () => {
  test('close answers what waits, at once, and takes nothing more', async () => {
    const { submit, queue, drain } = makeQueue({ batch: { size: 8, delay: 60_000 } });
    const answers = ['a', 'b'].map((name) => submit(name));
    const closed = queue.close();
    expect(await submit('c')).toBe('ERR_SHUTTING_DOWN');
    expect(await drain()).toEqual(['ab']);
    await closed;
    expect(await Promise.all(answers)).toEqual(['a! of 2', 'b! of 2']);
    await queue.close();
  });

  test('abort rejects what waits and what runs', async () => {
    const { submit, queue, runs } = makeQueue();
    const answers = ['a', 'b'].map((name) => submit(name));
    queue.abort(new Error('over'));
    expect(await Promise.all(answers)).toEqual(['over', 'over']);
    expect(runs[0]!.signal.aborted).toBe(true);
    runs[0]!.end();
    await queue.close();
  });

  test('idle waits for what is there, and lets more come', async () => {
    const { submit, queue, drain, runs } = makeQueue();
    void submit('a');
    const idle = queue.idle();
    expect(await drain()).toEqual(['a']);
    await idle;
    const answer = submit('b');
    runs[1]!.end();
    expect(await answer).toBe('b! of 1');
  });
});
