import { type Command, Option } from 'commander';
import type { ServeConfig } from '../server/config';
import { EXIT } from './exit';
import { integer } from './options';
import { remark } from './output';

interface ServeFlags {
  config?: string;
  host?: string;
  port?: number;
  grpcPort?: number;
  workers?: number;
  threads?: number;
  logLevel?: ServeConfig['server']['logLevel'];
}

const LEVELS = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'];

/** Adds the verb `serve`. */
export function addServe(program: Command): void {
  program
    .command('serve')
    .description('Serve models over HTTP: image endpoints, the Open Inference Protocol, and a page.')
    .option('--config <file>', 'YAML or JSON (default: the bundled models)')
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <number>', 'port of HTTP, 0 for any that is free (default: 8080)', integer(0, 65_535))
    .option('--grpc-port <number>', 'port of gRPC (default: none)', integer(0, 65_535))
    .option('--workers <count>', 'processes that share the port (default: 1)', integer(1, 256))
    .option(
      '--threads <count>',
      'CPU threads of one job (default: one per core, shared out among the workers)',
      integer(1, 1024),
    )
    .addOption(new Option('--log-level <level>', 'least level of the log (default: info)').choices(LEVELS))
    .addHelpText(
      'after',
      `
Options take the place of what the config says. The log is JSON lines on standard output. FREQFUSION_API_KEYS holds keys,
separated by commas, one of which every request must then bring.
SIGTERM and Ctrl-C answer what was accepted, then end with ${EXIT.ok}; a second one ends at once.

Examples:
  $ freqfusion serve
  $ freqfusion serve --config server.yaml --host 0.0.0.0 --port 8000
  $ freqfusion serve --workers 4`,
    )
    .action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  // Loaded here, so that no other verb pays for a web framework.
  const { defaultServeConfig, readServeConfig, runServer } = await import('../server/index.js');
  const { config: file, ...overrides } = flags;
  const config = file === undefined ? defaultServeConfig() : await readServeConfig(file);
  const onReady = (url: string) => {
    if (process.stderr.isTTY) remark(`Ready: ${url} (Ctrl-C stops it)`);
  };
  const all = { ...config, server: { ...config.server, ...overrides } };
  if (all.server.workers > 1) {
    const { runCluster } = await import('../server/cluster/primary.js');
    const { exitCode, error } = await runCluster(all, { onReady });
    if (error !== undefined) remark(`error: ${error}`);
    process.exit(exitCode);
  }
  await runServer(all, { onReady });
  // What is left of idle connections and timers must not hold up the end.
  process.exit(EXIT.ok);
}
