import type { MetricObject } from 'prom-client';
import type { ServeConfig } from '../config';
import { ServerError } from '../errors';

/** What a worker loads or unloads by request. */
export interface ControlAction {
  readonly action: 'load' | 'unload';
  readonly model: string;
}

/** What the primary tells a worker. */
export type ToWorker =
  | {
      readonly type: 'start';
      readonly config: ServeConfig;
      readonly index: number;
      readonly loadFirst: boolean;
    }
  | { readonly type: 'stop' }
  /** Asks for this worker's metrics, or to load or unload a model; answered by `done`. */
  | { readonly type: 'metrics'; readonly id: number }
  | ({ readonly type: 'control'; readonly id: number } & ControlAction)
  /** The answer to `ask`. */
  | { readonly type: 'answer'; readonly id: number; readonly outcome: Answer };

/** What a worker tells the primary. */
export type ToPrimary =
  | { readonly type: 'ready'; readonly url: string }
  /** It could not start; it exits with the code. */
  | { readonly type: 'failed'; readonly message: string; readonly code: string; readonly exitCode: number }
  /** Asks for the metrics of all workers, or for a model to be loaded or unloaded in all of them. */
  | { readonly type: 'ask'; readonly id: number; readonly what: 'metrics' | ControlAction }
  /** The answer to `metrics` or `control`. */
  | { readonly type: 'done'; readonly id: number; readonly outcome: Answer };

/** What came of a question between processes. */
export type Answer =
  | { readonly ok: true; readonly metrics?: MetricObject[]; readonly text?: string }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

/** The outcome of work, to be sent. */
export async function answerOf(work: Promise<Omit<Answer & { ok: true }, 'ok'>>): Promise<Answer> {
  try {
    return { ok: true, ...(await work) };
  } catch (error) {
    const { code = 'ERR_INTERNAL', message } = error as { code?: string; message: string };
    return { ok: false, error: { code, message } };
  }
}

/** An answer that was sent, or the error in it. */
export function received(outcome: Answer): Answer & { ok: true } {
  if (outcome.ok) return outcome;
  const { code, message } = outcome.error;
  throw new ServerError(code as `ERR_${string}`, message);
}

/** Questions that wait for their answers, by number. */
export class Questions {
  readonly #waiting = new Map<number, (outcome: Answer) => void>();
  #next = 0;

  /** Sends a question under a number of its own, and resolves to its answer. */
  ask(send: (id: number) => void): Promise<Answer> {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      send(id);
    });
  }

  /** Settles the question of a number. */
  settle(id: number, outcome: Answer): void {
    this.#waiting.get(id)?.(outcome);
    this.#waiting.delete(id);
  }

  /** Settles all of them: who should answer is gone. */
  settleAll(outcome: Answer): void {
    for (const id of [...this.#waiting.keys()]) this.settle(id, outcome);
  }
}
