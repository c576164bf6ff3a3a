import { parentPort } from 'node:worker_threads';
import { render } from './render';
import { type FromWorker, plainError, type ToWorker } from './render-messages';

// The thread of a render pool: it knows images and JSON, and neither the native addon nor the network.
const port = parentPort!;
const running = new Map<number, AbortController>();

port.on('message', (message: ToWorker) => {
  if ('cancel' in message) running.get(message.cancel)?.abort();
  else void work(message);
});
send({ ready: true });

async function work({ id, job }: Extract<ToWorker, { job: unknown }>): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const rendered = await render(job, controller.signal);
    // A copy of its own that can change hands: what sharp gives belongs to libvips and would be copied over there.
    const bytes = new Uint8Array(rendered).buffer;
    send({ id, bytes }, [bytes]);
  } catch (error) {
    send({ id, error: plainError(error) });
  } finally {
    running.delete(id);
  }
}

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}
