import cluster, { type Worker } from 'node:cluster';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { AggregatorRegistry, type MetricObject } from 'prom-client';
import type { ServeConfig } from '../config';
import { logDestination } from '../log-destination';
import { signalled } from '../signals';
import {
  type Answer,
  answerOf,
  type ControlAction,
  Questions,
  received,
  type ToPrimary,
  type ToWorker,
} from './messages';
import { LONGEST_DELAY, Restarts } from './restarts';

/** What {@link runCluster} may be given beside its config. */
export interface RunClusterInit {
  /** Default: a pino logger of the config's level on standard output. */
  readonly log?: Logger;
  /** Told of the address once every worker is ready. */
  readonly onReady?: (url: string) => void;
}

/** How a cluster ended: with what its process should exit, and what it has to say. */
export interface ClusterEnd {
  readonly exitCode: number;
  /** Why, where it was no signal. */
  readonly error?: string;
}

/** A worker as the primary sees it. */
interface Member {
  readonly index: number;
  readonly worker: Worker;
  readonly questions: Questions;
  readyAt?: number;
}

/** Milliseconds that a worker gets beside the drain delay and the shutdown timeout of its server. */
const GRACE = 5_000;

/**
 * Runs `server.workers` processes that share the port, until SIGTERM or SIGINT, which drain them all. One that dies
 * loses its own requests and is replaced. Resolves when the last has ended: with 0 after a signal, with the exit code
 * of a worker that could not start, or with 1 where workers die over and over before they are ready.
 */
export async function runCluster(config: ServeConfig, init: RunClusterInit = {}): Promise<ClusterEnd> {
  return new Primary(config, init).run();
}

class Primary {
  readonly #config: ServeConfig;
  readonly #log: Logger;
  readonly #onReady: RunClusterInit['onReady'];
  readonly #members = new Set<Member>();
  readonly #restarts = new Restarts();
  #stopping = false;
  /** Whether every worker has been started. */
  #complete = false;
  #announced = false;
  #end: ClusterEnd = { exitCode: 0 };
  #ended: () => void = () => {};

  constructor(config: ServeConfig, { log, onReady }: RunClusterInit) {
    this.#config = config;
    this.#log = log ?? pino({ level: config.server.logLevel }, logDestination());
    this.#onReady = onReady;
  }

  async run(): Promise<ClusterEnd> {
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    // Workers accept by themselves: a connection that Node's own dealer has given to a worker which then dies is neither
    // answered nor closed, ever. What a killed worker had accepted is reset, and what it had not goes to another.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: join(__dirname, 'worker.js'), args: [], silent: false });
    this.#fork(0, false);
    void signalled((signal) => {
      this.#log.info({ signal }, 'shutting down');
      this.#stop({ exitCode: 0 });
    });
    await ended;
    this.#log.info('stopped');
    return this.#end;
  }

  #fork(index: number, loadFirst: boolean): void {
    const worker = cluster.fork();
    const member: Member = { index, worker, questions: new Questions() };
    this.#members.add(member);
    worker.on('message', (message: ToPrimary) => this.#told(member, message));
    worker.on('error', (error) =>
      this.#log.error({ err: error, worker: index }, 'a worker cannot be reached'),
    );
    worker.on('exit', (code, signal) => this.#gone(member, code, signal));
    tell(worker, { type: 'start', config: this.#config, index, loadFirst });
  }

  #told(member: Member, message: ToPrimary): void {
    switch (message.type) {
      case 'ready':
        member.readyAt = performance.now();
        this.#forkOthers();
        this.#ready(message.url);
        break;
      case 'failed':
        // The same would happen to every other, and to its successor: once one serves, only a reload can have changed.
        if (!this.#announced) this.#stop({ exitCode: message.exitCode, error: message.message });
        else this.#log.error({ worker: member.index, reason: message.message }, 'a worker could not start');
        break;
      case 'done':
        member.questions.settle(message.id, message.outcome);
        break;
      case 'ask':
        void answerOf(this.#answer(message.what)).then((outcome) =>
          tell(member.worker, { type: 'answer', id: message.id, outcome }),
        );
        break;
    }
  }

  /**
   * The first answers at once that it lives. The others start when it is ready, and listen when their models are loaded:
   * a worker that says that it is ready speaks for all that connections go to.
   */
  #forkOthers(): void {
    if (this.#complete || this.#stopping) return;
    this.#complete = true;
    for (let index = 1; index < this.#config.server.workers; index += 1) this.#fork(index, true);
  }

  #ready(url: string): void {
    const ready = [...this.#members].filter(({ readyAt }) => readyAt !== undefined);
    if (this.#announced || ready.length < this.#config.server.workers) return;
    this.#announced = true;
    const { models, server } = this.#config;
    this.#log.info({ url, workers: server.workers, models: models.map(({ name }) => name) }, 'ready');
    this.#onReady?.(url);
  }

  async #answer(what: 'metrics' | ControlAction): Promise<{ text?: string }> {
    const ready = [...this.#members].filter(({ readyAt }) => readyAt !== undefined);
    const ask = (member: Member): Promise<Answer> =>
      member.questions.ask((id) =>
        tell(member.worker, what === 'metrics' ? { type: 'metrics', id } : { type: 'control', id, ...what }),
      );
    const answers = await Promise.all(ready.map(ask));
    if (what !== 'metrics') {
      for (const answer of answers) received(answer);
      return {};
    }
    const all = answers.flatMap((answer): MetricObject[][] =>
      answer.ok && answer.metrics !== undefined ? [answer.metrics] : [],
    );
    return { text: await AggregatorRegistry.aggregate(all).metrics() };
  }

  #gone(member: Member, code: number | null, signal: string | null): void {
    this.#members.delete(member);
    member.questions.settleAll({
      ok: false,
      error: { code: 'ERR_WORKER', message: 'a worker ended before it answered' },
    });
    if (this.#stopping) {
      if (this.#members.size === 0) this.#ended();
      return;
    }
    const lived = member.readyAt === undefined ? undefined : performance.now() - member.readyAt;
    const patient = this.#restarts.delayAfter(lived);
    // While others serve, there is something to lose by giving up.
    const serving = [...this.#members].some(({ readyAt }) => readyAt !== undefined);
    const wait = patient ?? (serving ? LONGEST_DELAY : undefined);
    this.#log.error(
      { worker: member.index, pid: member.worker.process.pid, code, signal, wait },
      'a worker died',
    );
    if (wait === undefined) {
      this.#stop({
        exitCode: 1,
        error: 'workers die over and over before they are ready; the log says more',
      });
      return;
    }
    setTimeout(() => {
      // The others go on while this one loads.
      if (!this.#stopping) this.#fork(member.index, this.#members.size > 0);
    }, wait);
  }

  #stop(end: ClusterEnd): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#end = end;
    if (this.#members.size === 0) this.#ended();
    for (const { worker } of this.#members) tell(worker, { type: 'stop' });
    const { drainDelay, shutdownTimeout } = this.#config.server;
    void delay(drainDelay + shutdownTimeout + GRACE, undefined, { ref: false }).then(() => {
      for (const { worker } of this.#members) worker.process.kill('SIGKILL');
    });
  }
}

/** Tells a worker, unless it is gone. */
function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, undefined, () => {});
}
