import type { Logger } from 'pino';
import { pino } from 'pino';
import { errorLine, exitCodeOf } from '../../cli/exit';
import { runtimeInfo } from '../../device';
import { logDestination } from '../log-destination';
import { InferenceServer } from '../server';
import { answerOf, Questions, received, type ToPrimary, type ToWorker } from './messages';
import { shareOf } from './share';

/** One of several processes that serve one port; started by the primary, which tells it what to do. */
class Worker {
  readonly #questions = new Questions();
  #server: InferenceServer | undefined;
  #log: Logger | undefined;

  constructor() {
    process.on('message', (message: ToWorker) => this.#told(message));
    // Without the primary there is nobody to listen for: what was taken is answered, then this ends too.
    process.on('disconnect', () => void this.#stop());
    process.on('SIGTERM', () => void this.#stop());
    // Ctrl-C goes to every process of a terminal; the primary tells its workers.
    process.on('SIGINT', () => {});
  }

  #told(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        void this.#start(message);
        break;
      case 'stop':
        void this.#stop();
        break;
      case 'answer':
        this.#questions.settle(message.id, message.outcome);
        break;
      case 'metrics':
        this.#done(
          message.id,
          answerOf(
            this.#running()
              .metrics.registry.getMetricsAsJSON()
              .then((metrics) => ({ metrics })),
          ),
        );
        break;
      case 'control': {
        const model = () => this.#running().models.get(message.model);
        const work = async () => {
          await (message.action === 'load' ? model().reload() : model().unload());
          return {};
        };
        this.#done(message.id, answerOf(work()));
        break;
      }
    }
  }

  #running(): InferenceServer {
    if (this.#server === undefined) throw new Error('the worker has not started');
    return this.#server;
  }

  async #start({ config, index, loadFirst }: ToWorker & { type: 'start' }): Promise<void> {
    try {
      const share = shareOf(config, index, () => runtimeInfo().cudaDevices);
      const log = pino({ level: config.server.logLevel }, logDestination()).child({ worker: index });
      this.#log = log;
      this.#server = new InferenceServer(share, {
        log,
        scrape: async () => (await this.#ask('metrics')).text ?? '',
        control: {
          load: async (model) => void (await this.#ask({ action: 'load', model })),
          unload: async (model) => void (await this.#ask({ action: 'unload', model })),
        },
      });
      const { url } = await this.#server.start({ loadFirst });
      tell({ type: 'ready', url });
    } catch (error) {
      const { code = 'ERR_INTERNAL' } = error as { code?: string };
      const exitCode = code === 'ERR_SHUTTING_DOWN' ? 0 : exitCodeOf(error);
      tell({ type: 'failed', message: errorLine(error), code, exitCode }, () => process.exit(exitCode));
    }
  }

  async #ask(what: (ToPrimary & { type: 'ask' })['what']) {
    return received(await this.#questions.ask((id) => tell({ type: 'ask', id, what })));
  }

  #done(id: number, answer: ReturnType<typeof answerOf>): void {
    void answer.then((outcome) => tell({ type: 'done', id, outcome }));
  }

  async #stop(): Promise<void> {
    const lost = { code: 'ERR_SHUTTING_DOWN', message: 'the server is shutting down' };
    if (!process.connected) this.#questions.settleAll({ ok: false, error: lost });
    await this.#server?.close();
    this.#log?.info('stopped');
    process.exit(0);
  }
}

/** Tells the primary, unless it is gone. */
function tell(message: ToPrimary, sent: () => void = () => {}): void {
  if (process.connected && process.send !== undefined) process.send(message, undefined, {}, sent);
  else sent();
}

new Worker();
