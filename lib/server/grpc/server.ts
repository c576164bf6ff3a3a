import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { FastifyBaseLogger } from 'fastify';
import { FreqFusionError } from '../../errors';
import type { ServerContext } from '../context';
import { ServerError } from '../errors';
import { infer } from '../protocol/infer';
import { serverMetadata } from '../protocol/metadata';
import { INPUTS, outputsOf, PLATFORM } from '../protocol/model-tensors';
import { scheduleOf } from '../protocol/parameters';
import { ticketOfCall, unary } from './calls';
import { type ModelInferRequest, readGrpcRequest, writeGrpcAnswer } from './messages';
import { checkInferRequest } from './wire-limits';

/** Where a gRPC server listens. */
export interface GrpcInit {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: FastifyBaseLogger;
}

/** A gRPC server that listens. */
export interface GrpcServer {
  readonly port: number;
  /** Takes no more calls, lets those that run end, for `timeout` milliseconds at most, and cuts off the rest. */
  close(timeout: number): Promise<void>;
}

/** Milliseconds after which a silent connection is asked whether its client is still there, and waited for. */
const KEEPALIVE = { time: 60_000, timeout: 20_000 };

/** Calls at once on a connection; those past it wait at the client. */
const MAX_CALLS = 256;

interface ModelRequest {
  readonly name: string;
  readonly version: string;
}

/** A request that could not be decoded. */
interface Malformed {
  readonly malformed: FreqFusionError;
}

/**
 * Serves the Open Inference Protocol over gRPC, for the same models and through the same queues as over HTTP.
 * Rejects with ServerError ERR_LISTEN.
 */
export async function startGrpc(context: ServerContext, { host, port, log }: GrpcInit): Promise<GrpcServer> {
  const { bodyLimit } = context.options;
  const server = new Server({
    'grpc.max_receive_message_length': bodyLimit,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': MAX_CALLS,
    'grpc.keepalive_time_ms': KEEPALIVE.time,
    'grpc.keepalive_timeout_ms': KEEPALIVE.timeout,
  });
  server.addService(loadService(), handlersOf(context, log));
  const taken = await bind(server, host, port);
  return { port: taken, close: (timeout) => close(server, timeout) };
}

function bind(server: Server, host: string, port: number): Promise<number> {
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, taken) => {
      if (error === null) return resolve(taken);
      const code = /E[A-Z]{4,}/.exec(error.message)?.[0];
      const details = { expected: 'an address and a port that are free', actual: code, cause: error };
      return reject(
        new ServerError('ERR_LISTEN', `cannot listen on ${address}: ${code ?? error.message}`, details),
      );
    });
  });
}

function close(server: Server, timeout: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, timeout);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The published service. Requests for inference are checked before they are decoded; what is wrong is told by the handler. */
function loadService(): ServiceDefinition {
  const file = join(__dirname, 'open_inference_grpc.proto');
  const loaded = loadSync(file, { keepCase: true, longs: Number, defaults: true, oneofs: true });
  const service = loaded['inference.GRPCInferenceService'] as unknown as ServiceDefinition;
  const method = service.ModelInfer!;
  const requestDeserialize = (bytes: Buffer): unknown => {
    try {
      checkInferRequest(bytes);
      return method.requestDeserialize(bytes);
    } catch (error) {
      const malformed = error instanceof FreqFusionError ? error : noMessage(error);
      return { malformed } satisfies Malformed;
    }
  };
  return { ...service, ModelInfer: { ...method, requestDeserialize } };
}

function noMessage(cause: unknown): FreqFusionError {
  const details = { expected: 'a ModelInferRequest', actual: 'other bytes', cause };
  return new FreqFusionError('ERR_REQUEST', 'expected a ModelInferRequest, got other bytes', details);
}

function handlersOf(context: ServerContext, log: FastifyBaseLogger) {
  const { models, options } = context;
  const rules = { context, log };
  const open = { ...rules, open: true };
  const modelOf = ({ name, version }: ModelRequest) => models.get(name, version === '' ? undefined : version);
  return {
    ServerLive: unary(open, () => ({ live: true })),
    ServerReady: unary(open, () => ({ ready: context.accepting() && models.ready })),
    ModelReady: unary<ModelRequest>(rules, (request) => ({
      ready: modelOf(request).state === 'ready' && context.accepting(),
    })),
    ServerMetadata: unary(rules, () => serverMetadata(options)),
    ModelMetadata: unary<ModelRequest>(rules, (request) => {
      const served = modelOf(request);
      const { name, version } = served.config;
      const { outputs } = outputsOf(served);
      return { name, versions: [version], platform: PLATFORM, inputs: INPUTS, outputs };
    }),
    ModelInfer: unary<ModelInferRequest | Malformed>(rules, async (message, call) => {
      if ('malformed' in message) throw message.malformed;
      const served = modelOf({ name: message.model_name, version: message.model_version });
      context.guards.check(served.name);
      const request = readGrpcRequest(message);
      const ticket = ticketOfCall(call, scheduleOf(request.parameters), options.requestTimeout);
      const outputs = await infer(served, request, { ticket, maxPixels: options.maxPixels });
      const { name, version } = served.config;
      const id = message.id === '' ? randomUUID() : message.id;
      return writeGrpcAnswer({ model_name: name, model_version: version, id }, outputs);
    }),
  };
}
