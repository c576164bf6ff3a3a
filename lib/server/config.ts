import { cpus } from 'node:os';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { FLOATING } from '../check';

const MIB = 2 ** 20;
/** Milliseconds. */
const HOUR = 3_600_000;

/** An object that may hold these members and no other. */
function only<Members extends Record<string, TSchema>>(members: Members, description: string) {
  return Type.Object(members, { additionalProperties: false, description });
}

/** A member that may be left out: its own members have defaults. */
function defaulted<Schema extends TSchema>(schema: Schema): Schema {
  return { ...schema, default: {} };
}

const size = Type.Integer({ minimum: 1, maximum: 65_535 });

/** How requests wait for a model and go through it together. */
export const BatchSchema = only(
  {
    size: Type.Integer({
      minimum: 1,
      maximum: 256,
      default: 4,
      description: 'images that go through the network together, at most',
    }),
    delay: Type.Number({
      minimum: 0,
      maximum: 10_000,
      default: 2,
      description: 'milliseconds that an image waits for others while the model is idle',
    }),
  },
  'dynamic batching',
);

/** The requests that wait for a model. */
export const QueueSchema = only(
  {
    length: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 128,
      description: 'images that may wait; past it requests get 429 with Retry-After',
    }),
    bytes: Type.Integer({
      minimum: 1,
      default: 256 * MIB,
      description: 'bytes of waiting images; past it requests get 429 with Retry-After',
    }),
  },
  'the queue of a model',
);

/** A model that the server loads. */
export const ModelSchema = only(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$',
      description: 'its name in URLs and metrics',
    }),
    version: Type.String({
      pattern: '^[A-Za-z0-9._-]{1,64}$',
      default: '1',
      description: 'its version in URLs and answers',
    }),
    task: Type.Union([Type.Literal('segment'), Type.Literal('detect')], {
      description: 'segment: loadModel reads it; detect: loadDetector',
    }),
    checkpoint: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'a .pth, .pt or .safetensors file, relative to the config; default: the bundled one',
      }),
    ),
    architecture: Type.Optional(
      Type.String({
        minLength: 1,
        description: "an architecture's name or the path of a config.json; default: told from the checkpoint",
      }),
    ),
    device: Type.String({
      pattern: '^(cpu|cuda(:(0|[1-9][0-9]{0,2}))?)$',
      default: 'cpu',
      description: 'cpu, cuda or cuda:N',
    }),
    dtype: Type.Union(
      FLOATING.map((name) => Type.Literal(name)),
      { default: 'float32', description: 'element type that it computes in' },
    ),
    cudaGraph: Type.Boolean({
      default: false,
      description: 'capture the network in a CUDA graph for each size of image',
    }),
    batch: defaulted(BatchSchema),
    queue: defaulted(QueueSchema),
    warmup: Type.Array(Type.Tuple([size, size]), {
      default: [],
      maxItems: 64,
      description: '[height, width] of images that go through the network before the model is ready',
    }),
    instances: Type.Integer({
      minimum: 1,
      maximum: 16,
      default: 2,
      description:
        'batches in flight at once, sharing one set of weights: one is decoded while another is computed',
    }),
  },
  'a model',
);

/** Where the server listens and what it lets through. */
export const ServerSchema = only(
  {
    host: Type.String({
      minLength: 1,
      default: '127.0.0.1',
      description: 'address to listen on; 0.0.0.0 or :: for all',
    }),
    port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080, description: '0: any free port' }),
    grpcPort: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65_535, description: 'gRPC of the same protocol; default: none' }),
    ),
    threads: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1024,
        description: 'CPU threads of one job; default: one per core, shared out among the workers',
      }),
    ),
    workers: Type.Integer({
      minimum: 1,
      maximum: 256,
      default: 1,
      description: 'processes, each with all of the models; several share out the cores and the GPUs',
    }),
    maxConnections: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      default: 2048,
      description: 'connections that a process keeps open; further ones are closed at once',
    }),
    bodyLimit: Type.Integer({ minimum: 1024, default: 32 * MIB, description: 'bytes of a request body' }),
    maxPixels: Type.Integer({
      minimum: 1,
      default: 40_000_000,
      description: 'width x height of an image, read from its header before anything is decoded',
    }),
    requestTimeout: Type.Integer({
      minimum: 1,
      maximum: HOUR,
      default: 30_000,
      description: 'milliseconds until a request must be answered; a request may ask for less',
    }),
    bodyTimeout: Type.Integer({
      minimum: 1,
      maximum: HOUR,
      default: 15_000,
      description: 'milliseconds within which a whole request must have arrived',
    }),
    drainDelay: Type.Integer({
      minimum: 0,
      maximum: HOUR,
      default: 0,
      description:
        'milliseconds after SIGTERM in which requests are still taken while readiness says no, so that load balancers can turn away',
    }),
    shutdownTimeout: Type.Integer({
      minimum: 0,
      maximum: HOUR,
      default: 30_000,
      description: 'milliseconds that accepted requests get to end after SIGTERM',
    }),
    maxMemory: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'bytes of resident memory past which new work gets 503; default: 90 % of what there is',
      }),
    ),
    minGpuMemory: Type.Integer({
      minimum: 0,
      default: 256 * MIB,
      description: 'bytes that must be free on a GPU for new work to go to it; else 503',
    }),
    apiKeys: Type.Array(Type.String({ minLength: 16 }), {
      default: [],
      description: 'keys, one of which every request must bring (Authorization: Bearer, or X-API-Key)',
    }),
    cors: Type.Array(Type.String({ minLength: 1 }), {
      default: [],
      description: "origins that may call from a browser; '*' for all",
    }),
    page: Type.Boolean({ default: true, description: 'the page at /' }),
    metrics: Type.Boolean({ default: true, description: 'Prometheus metrics at /metrics' }),
    admin: Type.Boolean({
      default: false,
      description: 'loading, unloading and reloading models by request',
    }),
    logLevel: Type.Union(
      ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'least level of what is logged' },
    ),
  },
  'the server',
);

/** The whole config of `freqfusion serve`. */
export const ConfigSchema = only(
  {
    server: defaulted(ServerSchema),
    models: Type.Array(ModelSchema, { minItems: 1, maxItems: 64 }),
  },
  'config of freqfusion serve',
);

/** A model of a {@link ServeConfig}, with every default filled in and its paths absolute. */
export type ModelConfig = Static<typeof ModelSchema>;

/** The `server` part of a {@link ServeConfig}, with every default filled in. */
export type ServerOptions = Static<typeof ServerSchema>;

/** A checked config. */
export type ServeConfig = Static<typeof ConfigSchema>;

/** What is served without a config file: the bundled models. */
export const BUNDLED_MODELS = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
] as const;

/** CPU threads of each of so many processes: the cores, shared out. */
export function threadsOfWorker(workers: number): number {
  return Math.max(1, Math.floor(cpus().length / workers));
}

/** A config that was found to be right, with its defaults filled in; `value` is not changed. */
export function checkedConfig(value: unknown): ServeConfig {
  return Value.Default(ConfigSchema, Value.Clone(value)) as ServeConfig;
}
