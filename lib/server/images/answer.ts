import type { FastifyReply } from 'fastify';
import type { RenderJob } from './render';
import type { View } from './views';

/** What an answer is made for. */
export interface AnswerInit<Model, Query> {
  readonly model: Model;
  readonly query: Query;
}

/** What an answer is made of: something for the render pool, or a value that is JSON soon enough. */
export type Answer = { readonly timing: AnswerTiming } & (
  | { readonly job: RenderJob }
  | { readonly json: object }
);

/** Milliseconds of an answer, as it tells them itself. */
export interface AnswerTiming {
  /** Waiting for the batch. */
  readonly queue: number;
  readonly decode: number;
  readonly inference: number;
  readonly total: number;
}

/** Where an answer's time went, with the wait in the queue. */
export function timingOf(
  queue: number,
  { decode, inference }: { readonly decode: number; readonly inference: number },
): AnswerTiming {
  return { queue, decode, inference, total: queue + decode + inference };
}

/** An answer that is ready, and what its headers tell. */
export interface ReadyAnswer {
  readonly bytes: Uint8Array;
  readonly view: View;
  readonly model: { readonly config: { readonly name: string } };
  /** The image's name, safe as {@link safeName} makes it. */
  readonly name: string;
  readonly timing: AnswerTiming;
  /** Milliseconds that the answer itself took to make. */
  readonly render: number;
}

/** Sends an answer with its headers. */
export function sendAnswer(reply: FastifyReply, answer: ReadyAnswer): FastifyReply {
  const { bytes, view, model, name, timing, render } = answer;
  const parts = Object.entries({
    queue: timing.queue,
    decode: timing.decode,
    inference: timing.inference,
    render,
  });
  const isJson = view.type === 'application/json';
  return reply
    .header('content-type', isJson ? 'application/json; charset=utf-8' : view.type)
    .header('x-freqfusion-model', model.config.name)
    .header('server-timing', parts.map(([part, ms]) => `${part};dur=${ms.toFixed(2)}`).join(', '))
    .header('content-disposition', `inline; filename="${name}-${view.name}.${isJson ? 'json' : 'png'}"`)
    .send(bytes);
}
