import { type Metadata, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { FastifyBaseLogger } from 'fastify';
import type { Ticket } from '../batch-queue';
import type { ServerContext } from '../context';
import { ServerError } from '../errors';
import type { Schedule } from '../protocol/parameters';
import { grpcErrorOf } from './status';

/** A call of one request and one answer. */
export type Call<Request> = ServerUnaryCall<Request, unknown>;

/** What answers a call; what it throws becomes the call's status. */
export type Handler<Request> = (request: Request, call: Call<Request>) => unknown;

/** What is between a client and the handlers of its calls. */
export interface CallRules {
  readonly context: ServerContext;
  readonly log: FastifyBaseLogger;
  /** Answered without an API key, and until the end of a shutdown. */
  readonly open?: boolean;
}

/** Makes a handler of grpc-js: checks the key, answers or words the error, and counts. */
export function unary<Request>({ context, log, open = false }: CallRules, handle: Handler<Request>) {
  return (call: Call<Request>, answer: sendUnaryData<unknown>): void => {
    const started = performance.now();
    const route = call.getPath();
    const ended = (code: status) => {
      context.metrics.requests.inc({ route, status: status[code] });
      context.metrics.seconds.observe({ route }, (performance.now() - started) / 1000);
    };
    const run = async () => {
      if (!open) {
        context.keys.check(headersOf(call.metadata));
        if (context.phase() === 'closed') {
          throw new ServerError('ERR_SHUTTING_DOWN', 'the server is shutting down', { retryAfter: 1 });
        }
      }
      return handle(call.request, call);
    };
    run().then(
      (reply) => {
        ended(status.OK);
        answer(null, reply);
      },
      (error: unknown) => {
        const told = grpcErrorOf(error);
        if (told.code === status.INTERNAL) log.error({ err: error, route }, 'a call failed');
        ended(told.code);
        answer(told);
      },
    );
  };
}

function headersOf(metadata: Metadata) {
  const first = (name: string) => metadata.get(name).map(String)[0];
  const authorization = first('authorization');
  const key = first('x-api-key');
  return {
    ...(authorization !== undefined && { authorization }),
    ...(key !== undefined && { 'x-api-key': key }),
  };
}

/** The ticket of a call: its deadline and its parameters say how long, and it is given up when the call is cancelled. */
export function ticketOfCall(call: Call<unknown>, { priority, timeout }: Schedule, most: number): Ticket {
  const controller = new AbortController();
  const cancel = () => controller.abort(new Error('the call was cancelled'));
  call.once('cancelled', cancel);
  if (call.cancelled) cancel();
  const left = Number(call.getDeadline()) - Date.now();
  return {
    signal: controller.signal,
    timeout: Math.min(most, left, timeout ?? Number.POSITIVE_INFINITY),
    ...(priority !== undefined && { priority }),
  };
}
