import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { memoryStats } from '../device';
import { FreqFusionError } from '../errors';
import type { ModelRepository } from './model-repository';
import type { ModelObserver } from './served-model';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What a server counts and times, for Prometheus. */
export class ServerMetrics implements ModelObserver {
  readonly registry = new Registry();
  /** Answers, by route and status. */
  readonly requests: Counter<'route' | 'status'>;
  /** Seconds of a request, from its header to the last byte of its answer. */
  readonly seconds: Histogram<'route'>;
  /** Connections that were closed at once, because there were too many. */
  readonly dropped: Counter;
  /** Seconds that an answer of /segment or /detect took to make of its result, waiting for a thread included. */
  readonly renderSeconds: Histogram<'view'>;
  readonly #images: Counter<'model' | 'outcome'>;
  readonly #imageSeconds: Histogram<'model'>;
  readonly #waited: Histogram<'model'>;
  readonly #batches: Histogram<'model'>;

  constructor() {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    this.requests = new Counter({
      name: 'freqfusion_requests_total',
      help: 'Answers, by route and status',
      labelNames: ['route', 'status'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'freqfusion_request_seconds',
      help: 'Seconds of a request, from its header to the last byte of its answer',
      labelNames: ['route'],
      buckets: SECONDS,
      registers,
    });
    this.dropped = new Counter({
      name: 'freqfusion_connections_dropped_total',
      help: 'Connections closed at once because server.maxConnections were open',
      registers,
    });
    this.renderSeconds = new Histogram({
      name: 'freqfusion_render_seconds',
      help: 'Seconds from the result of an image to its answer (a PNG or JSON), the wait for a thread included',
      labelNames: ['view'],
      buckets: SECONDS,
      registers,
    });
    this.#images = new Counter({
      name: 'freqfusion_images_total',
      help: 'Images that went to a model; outcome is ok or the code of the error',
      labelNames: ['model', 'outcome'],
      registers,
    });
    this.#imageSeconds = new Histogram({
      name: 'freqfusion_image_seconds',
      help: 'Seconds of an image from the queue to its result',
      labelNames: ['model'],
      buckets: SECONDS,
      registers,
    });
    this.#waited = new Histogram({
      name: 'freqfusion_queue_seconds',
      help: 'Seconds that an image waited for its batch',
      labelNames: ['model'],
      buckets: SECONDS,
      registers,
    });
    this.#batches = new Histogram({
      name: 'freqfusion_batch_images',
      help: 'Images of a batch',
      labelNames: ['model'],
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    });
    new Gauge({
      name: 'freqfusion_native_bytes',
      help: 'Bytes outside the heap of JavaScript: of live tensors, handed out and kept free by the caching allocator',
      labelNames: ['kind'],
      registers,
      collect() {
        const { tensorBytes, allocatedBytes, cachedBytes } = memoryStats();
        this.set({ kind: 'tensors' }, tensorBytes);
        this.set({ kind: 'allocated' }, allocatedBytes);
        this.set({ kind: 'cached' }, cachedBytes);
      },
    });
  }

  /** Adds the gauges of what waits and runs now. */
  watch(models: ModelRepository): void {
    const gauge = (
      name: string,
      help: string,
      read: (model: ReturnType<ModelRepository['get']>) => number,
      aggregator: 'sum' | 'min' = 'sum',
    ) =>
      new Gauge({
        name,
        help,
        aggregator,
        labelNames: ['model'],
        registers: [this.registry],
        collect() {
          for (const model of models.list()) this.set({ model: model.name }, read(model));
        },
      });
    gauge('freqfusion_queue_length', 'Images that wait', ({ load }) => load.waiting);
    gauge('freqfusion_queue_bytes', 'Bytes of the images that wait', ({ load }) => load.bytes);
    gauge('freqfusion_in_flight', 'Images that are being computed', ({ load }) => load.inFlight);
    gauge(
      'freqfusion_model_ready',
      '1 where the model can answer',
      ({ state }) => Number(state === 'ready'),
      'min',
    );
  }

  onBatch(model: string, images: number, waited: readonly number[]): void {
    this.#batches.observe({ model }, images);
    for (const each of waited) this.#waited.observe({ model }, each / 1000);
  }

  onImage(model: string, milliseconds: number, error: unknown): void {
    const outcome =
      error === undefined ? 'ok' : error instanceof FreqFusionError ? error.code : 'ERR_INTERNAL';
    this.#images.inc({ model, outcome });
    if (error === undefined) this.#imageSeconds.observe({ model }, milliseconds / 1000);
  }
}
