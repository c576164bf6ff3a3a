import { availableParallelism } from 'node:os';
import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Ticket } from '../batch-queue';
import { type Answer, sendAnswer } from '../images/answer';
import { detectAnswer, detectNeedsImage } from '../images/detect-answer';
import { RenderPool } from '../images/render-pool';
import {
  DetectQuery,
  type DetectQueryOptions,
  DetectReplies,
  ImageBody,
  SegmentQuery,
  type SegmentQueryOptions,
  SegmentReplies,
} from '../images/schemas';
import { segmentAnswer, segmentNeedsImage, segmentOptions } from '../images/segment-answer';
import { acceptUploads, uploadOf } from '../images/upload';
import { chooseView, DETECT_VIEWS, SEGMENT_VIEWS, type View } from '../images/views';
import type { ServedDetector } from '../served-model';
import type { DetectRequestOptions } from '../tasks';
import { ticketOf } from '../ticket';
import type { RouteOptions } from './health';

/** What both queries have. */
type CommonQuery = Pick<SegmentQueryOptions, 'view' | 'priority' | 'timeout'>;

const GUARDED = { guarded: true };

/** POST /segment and POST /detect: an image in, labels, masks, boxes or a picture of them out. */
export async function imageRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const { models, options } = context;
  const pool = new RenderPool({ threads: threadsOf(options.workers) });
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    // What is there already says that answers differ by origin.
    const vary = reply.getHeader('vary');
    reply.header('vary', vary === undefined ? 'accept' : `${vary}, accept`);
  });
  await app.register(accepts);
  await acceptUploads(app, options.bodyLimit);
  app.addHook('onListen', async () => pool.start());
  app.addHook('onClose', () => pool.close());
  /** Refuses what can be refused before the network is asked. */
  const begin = <Name extends string>(
    request: FastifyRequest,
    reply: FastifyReply,
    query: CommonQuery,
    views: readonly View<Name>[],
  ) => {
    const view = chooseView(request, views, query.view);
    const { bytes, name } = uploadOf(request);
    pool.checkRoom();
    const ticket = ticketOf(request, reply, query, bytes.length);
    return { view, name, bytes, ticket, deadline: performance.now() + ticket.timeout! };
  };
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();

  typed.post(
    '/segment',
    {
      config: GUARDED,
      schema: {
        summary: 'Classes of all pixels of an image',
        body: ImageBody,
        querystring: SegmentQuery,
        response: SegmentReplies,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.segmenter(query.model);
      const { view, name, bytes, ticket, deadline } = begin(request, reply, query, SEGMENT_VIEWS);
      const keepImage = segmentNeedsImage(view.name);
      const { timing, rendered } = await model
        .predict(bytes, segmentOptions(view.name, query), { ...ticket, keepImage })
        .then((served) => make(pool, segmentAnswer(served, view.name, { model, query }), ticket, deadline));
      const { bytes: answer, render } = await rendered;
      context.metrics.renderSeconds.observe({ view: view.name }, render / 1000);
      return sendAnswer(reply, { bytes: answer, view, model, name, timing, render });
    },
  );

  typed.post(
    '/detect',
    {
      config: GUARDED,
      schema: {
        summary: 'Objects in an image',
        body: ImageBody,
        querystring: DetectQuery,
        response: DetectReplies,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.detector(query.model);
      const { view, name, bytes, ticket, deadline } = begin(request, reply, query, viewsOf(model));
      const keepImage = detectNeedsImage(view.name);
      const { timing, rendered } = await model
        .predict(bytes, thresholdsOf(query), { ...ticket, keepImage })
        .then((served) => make(pool, detectAnswer(served, view.name, { model, query }), ticket, deadline));
      const { bytes: answer, render } = await rendered;
      context.metrics.renderSeconds.observe({ view: view.name }, render / 1000);
      return sendAnswer(reply, { bytes: answer, view, model, name, timing, render });
    },
  );
}

/** Threads that render: one where there are few cores, as the networks are what they are for. */
function threadsOf(workers: number): number {
  return availableParallelism() / workers >= 4 ? 2 : 1;
}

/** A detector's views: those of panoptic models have one more. */
function viewsOf({ model }: ServedDetector) {
  const panoptic = model.info.task === 'panoptic-segmentation';
  return panoptic ? DETECT_VIEWS : DETECT_VIEWS.filter(({ name }) => name !== 'panoptic');
}

/** In one order, whatever the query's: images that ask for the same go through the network together. */
function thresholdsOf(query: DetectQueryOptions): DetectRequestOptions {
  const { scoreThreshold, maxDetections, iouThreshold, maskThreshold } = query;
  return {
    ...(scoreThreshold !== undefined && { scoreThreshold }),
    ...(maxDetections !== undefined && { maxDetections }),
    ...(iouThreshold !== undefined && { iouThreshold }),
    ...(maskThreshold !== undefined && { maskThreshold }),
  };
}

/** Starts to make an answer. Nothing but the pool knows the image and its result from here on. */
function make(pool: RenderPool, answer: Answer, { signal }: Ticket, deadline: number) {
  const started = performance.now();
  const bytes =
    'job' in answer
      ? pool.render(answer.job, { ...(signal && { signal }), timeout: deadline - started })
      : Promise.resolve(Buffer.from(JSON.stringify(answer.json)));
  const rendered = bytes.then((all) => ({ bytes: all, render: performance.now() - started }));
  return { timing: answer.timing, rendered };
}
