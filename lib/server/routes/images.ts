import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { type Answer, sendAnswer } from '../images/answer';
import { detectAnswer, detectNeedsImage } from '../images/detect-answer';
import { RenderPool } from '../images/render-pool';
import {
  DetectQuery,
  type DetectQueryOptions,
  DetectReplies,
  SegmentQuery,
  SegmentReplies,
} from '../images/schemas';
import { segmentAnswer, segmentNeedsImage } from '../images/segment-answer';
import { acceptUploads, uploadOf } from '../images/upload';
import { chooseView, DETECT_VIEWS, SEGMENT_VIEWS } from '../images/views';
import type { ServedDetector } from '../served-model';
import type { DetectRequestOptions } from '../tasks';
import { ticketOf } from '../ticket';
import type { RouteOptions } from './health';

const MEDIA = {
  consumes: ['image/*', 'application/octet-stream', 'multipart/form-data'],
  produces: ['application/json', 'image/png'],
};

/** POST /segment and POST /detect: an image in, labels, masks, boxes or a picture of them out. */
export async function imageRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const { models, options } = context;
  const pool = new RenderPool();
  await app.register(accepts);
  await acceptUploads(app, options.bodyLimit);
  app.addHook('onListen', async () => pool.start());
  app.addHook('onClose', () => pool.close());
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store', vary: 'accept' });
  });
  const typed = app.withTypeProvider<TypeBoxTypeProvider>();

  typed.post(
    '/segment',
    {
      schema: {
        summary: 'Classes of all pixels of an image',
        querystring: SegmentQuery,
        response: SegmentReplies,
        ...MEDIA,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.segmenter(query.model);
      const view = chooseView(request, SEGMENT_VIEWS, query.view);
      const { bytes, name } = uploadOf(request);
      pool.checkRoom();
      const ticket = ticketOf(request, reply, query, bytes.length);
      const keepImage = segmentNeedsImage(view.name);
      const { timing, rendered } = await model
        .predict(bytes, {}, { ...ticket, keepImage })
        .then((served) => make(pool, segmentAnswer(served, view.name, { model, query }), ticket.signal));
      return sendAnswer(reply, { view, model, name, timing, ...(await rendered) });
    },
  );

  typed.post(
    '/detect',
    {
      schema: {
        summary: 'Objects in an image',
        querystring: DetectQuery,
        response: DetectReplies,
        ...MEDIA,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.detector(query.model);
      const view = chooseView(request, viewsOf(model), query.view);
      const { bytes, name } = uploadOf(request);
      pool.checkRoom();
      const ticket = ticketOf(request, reply, query, bytes.length);
      const keepImage = detectNeedsImage(view.name);
      const { timing, rendered } = await model
        .predict(bytes, thresholdsOf(query), { ...ticket, keepImage })
        .then((served) => make(pool, detectAnswer(served, view.name, { model, query }), ticket.signal));
      return sendAnswer(reply, { view, model, name, timing, ...(await rendered) });
    },
  );
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
function make(pool: RenderPool, answer: Answer, signal: AbortSignal | undefined) {
  const started = performance.now();
  const bytes =
    'job' in answer
      ? pool.render(answer.job, signal)
      : Promise.resolve(Buffer.from(JSON.stringify(answer.json)));
  const rendered = bytes.then((all) => ({ bytes: all, render: performance.now() - started }));
  return { timing: answer.timing, rendered };
}
