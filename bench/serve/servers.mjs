import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchPython } from '../../scripts/bench-python.mjs';
import { ONNX_FOLDER, ROOT } from './places.mjs';

const HERE = join(ROOT, 'bench', 'serve');
const CACHE = join(ROOT, '.cache', 'bench-serve');

/** freqfusion's own server. `model` and `server` are parts of its config, over the defaults. */
export function freqfusionServer({ workers = 1, threads, model = {}, server = {} } = {}) {
  return (port) => {
    mkdirSync(CACHE, { recursive: true });
    const file = join(CACHE, `config-${port}.json`);
    const config = {
      server: { port, logLevel: 'warn', ...(threads !== undefined && { threads }), ...server },
      models: [{ name: 'layout', task: 'segment', warmup: [[640, 480]], ...model }],
    };
    writeFileSync(file, JSON.stringify(config, null, 2));
    const main = join(process.env.FREQFUSION_DIST ?? join(ROOT, 'dist'), 'cli', 'main.js');
    const many = workers === 1 ? [] : ['--workers', String(workers)];
    return {
      command: [process.execPath, main, 'serve', '--config', file, ...many],
      env: { NODE_OPTIONS: `--require ${JSON.stringify(join(HERE, 'event-loop.cjs'))}` },
    };
  };
}

/** FastAPI, uvicorn and PyTorch eager. */
export function fastapiServer({ workers = 1, threads = 2 } = {}) {
  return (port) => ({
    command: [
      benchPython(),
      join(HERE, 'fastapi_server.py'),
      ...['--port', String(port), '--workers', String(workers), '--threads', String(threads)],
    ],
  });
}

/** fastify and onnxruntime-node. */
export function onnxServer({ parallel = 1, threads = 2 } = {}) {
  return (port) => ({
    command: [
      process.execPath,
      join(HERE, 'onnx_server.mjs'),
      ...['--port', String(port), '--model', onnxFile()],
      ...['--parallel', String(parallel), '--threads', String(threads)],
    ],
  });
}

/** The exported model; exported where it is missing. */
function onnxFile() {
  const file = join(CACHE, 'layout.onnx');
  const source = join(HERE, 'export_onnx.py');
  if (!existsSync(file) || statSync(file).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(CACHE, { recursive: true });
    execFileSync(benchPython(), [source, file], { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return file;
}

/** Versions of what the others run on. */
export function versions() {
  const code =
    'import json,sys,torch,fastapi,uvicorn,PIL; print(json.dumps({"python": sys.version.split()[0], ' +
    '"torch": torch.__version__, "fastapi": fastapi.__version__, "uvicorn": uvicorn.__version__, "pillow": PIL.__version__}))';
  return {
    ...JSON.parse(execFileSync(benchPython(), ['-c', code], { encoding: 'utf8' })),
    'onnxruntime-node': installed('onnxruntime-node', ONNX_FOLDER),
    fastify: installed('fastify'),
    sharp: installed('sharp'),
  };
}

function installed(name, folder = ROOT) {
  return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version;
}
