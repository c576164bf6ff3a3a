import {
  AbortError,
  ArgumentError,
  CheckpointError,
  CocoError,
  FreqFusionError,
  ImageError,
  JobsError,
  LoadError,
  RedisError,
  StateDictError,
} from '../errors';

/** Exit codes of the command line; they stand in docs/cli.md and do not change their meaning. */
export const EXIT = {
  ok: 0,
  /** A check failed, or some of several inputs did. */
  failed: 1,
  /** An unknown verb or option, or a value that an option cannot take. */
  usage: 2,
  /** An input is missing, damaged, refused, or does not fit. */
  input: 3,
  /** The native addon is not built or does not load. */
  addon: 4,
  /** An output cannot be written, or a port cannot be listened on. */
  output: 5,
  /** Out of memory, a failing device, or a fault of this program. */
  internal: 6,
  /** The Redis of a job queue cannot be used. */
  redis: 7,
  /** Interrupted by Ctrl-C. */
  interrupted: 130,
} as const;

/** An error of the command line itself, with the exit code that it leads to. */
export class CliError extends FreqFusionError {
  constructor(
    message: string,
    readonly exitCode: number = EXIT.usage,
    cause?: unknown,
  ) {
    super('ERR_CLI', message, { cause });
  }
}

/** The exit code of an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof LoadError) return EXIT.addon;
  if (error instanceof AbortError || (error as Error)?.name === 'AbortError') return EXIT.interrupted;
  if (error instanceof FreqFusionError && /_WRITE$/.test(error.code)) return EXIT.output;
  if (error instanceof CheckpointError || error instanceof ImageError || error instanceof StateDictError)
    return EXIT.input;
  if (error instanceof CocoError || error instanceof JobsError) return EXIT.input;
  if (error instanceof RedisError) return error.code === 'ERR_REDIS_URL' ? EXIT.usage : EXIT.redis;
  if (error instanceof FreqFusionError && error.code === 'ERR_LISTEN') return EXIT.output;
  if (error instanceof FreqFusionError && /^ERR_(FILE|NPY|GOLDEN|SERVER_CONFIG)/.test(error.code))
    return EXIT.input;
  if (error instanceof ArgumentError) return EXIT.usage;
  // What is no argument but does not fit a model: an architecture that a file does not tell, a wrong config.json.
  if (error instanceof FreqFusionError && error.code.startsWith('ERR_MODEL_')) return EXIT.input;
  const system = (error as NodeJS.ErrnoException)?.code;
  if (system === 'ENOENT' || system === 'EACCES' || system === 'EISDIR' || system === 'ENOTDIR')
    return EXIT.input;
  return EXIT.internal;
}

const WAYS_OUT: readonly (readonly [RegExp, string])[] = [
  [/^ERR_CUDA_OUT_OF_MEMORY$/, 'Try a smaller image, --mode slide, or --device cpu.'],
  [/^ERR_CUDA_GRAPH$/, 'Leave --cuda-graph out.'],
  [/^ERR_OUT_OF_MEMORY$/, 'Try a smaller image, --mode slide, or fewer threads.'],
  [/^ERR_(CUDA|DEVICE)/, 'Try --device cpu.'],
  [/^ERR_LISTEN$/, 'Another --port, or --port 0 for any that is free.'],
  [/^ERR_IMAGE_TOO_LARGE$/, 'Raise --max-pixels if the image is meant to be that large.'],
  [/^ERR_REDIS_CONNECT$/, 'Start it, or name another with --redis or FREQFUSION_REDIS.'],
  [/^ERR_REDIS_AUTH$/, 'Put user and password into the URL of --redis or FREQFUSION_REDIS.'],
  [/^ERR_JOBS_RUN_UNKNOWN$/, '"freqfusion jobs status" lists the runs.'],
  [
    /^ERR_STATE_KEYS$/,
    'The checkpoint may belong to another --architecture; "freqfusion inspect" lists what it holds.',
  ],
];

/** An error in one line, with the way out where there is one. */
export function errorLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replace(/\s*\n\s*/g, ' ').trim();
  const code = error instanceof FreqFusionError && !(error instanceof CliError) ? error.code : undefined;
  const way = code === undefined ? undefined : WAYS_OUT.find(([pattern]) => pattern.test(code))?.[1];
  const stop = /[.!?)]$/.test(line) ? '' : '.';
  const tail = way === undefined || line.includes(way) ? '' : `${stop} ${way}`;
  return `${line}${tail}${code === undefined ? '' : ` [${code}]`}`;
}
