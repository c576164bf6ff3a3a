import accepts from '@fastify/accepts';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { sendAnswer, timingOf } from '../images/answer';
import { detectJob, detectNeedsImage } from '../images/detect-answer';
import { type RenderJob, render } from '../images/render';
import { DetectQuery, DetectReplies, SegmentQuery, SegmentReplies } from '../images/schemas';
import { segmentJob, segmentNeedsImage } from '../images/segment-answer';
import { acceptUploads, uploadOf } from '../images/upload';
import { chooseView, DETECT_VIEWS, SEGMENT_VIEWS } from '../images/views';
import { ticketOf } from '../ticket';
import type { RouteOptions } from './health';

const CONSUMES = ['image/*', 'application/octet-stream', 'multipart/form-data'];
const PRODUCES = ['application/json', 'image/png'];

/** POST /segment and POST /detect: an image in, labels, masks, boxes or a picture of them out. */
export async function imageRoutes(app: FastifyInstance, { context }: RouteOptions): Promise<void> {
  const { models, options } = context;
  await app.register(accepts);
  await acceptUploads(app, options.bodyLimit);
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
        consumes: CONSUMES,
        produces: PRODUCES,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.segmenter(query.model);
      const view = chooseView(request, SEGMENT_VIEWS, query.view);
      const { bytes, name } = uploadOf(request);
      const ticket = ticketOf(request, reply, query, bytes.length);
      const keepImage = segmentNeedsImage(view.name);
      const served = await model.predict(bytes, {}, { ...ticket, keepImage });
      const map = served.result.result;
      const started = performance.now();
      const answer = await render(segmentJob(served, view.name, { model, query, signal: ticket.signal }));
      return sendAnswer(reply, answer, {
        view,
        model,
        name,
        timing: timingOf(served.waited, map.timing),
        render: performance.now() - started,
      });
    },
  );

  typed.post(
    '/detect',
    {
      schema: {
        summary: 'Objects in an image',
        querystring: DetectQuery,
        response: DetectReplies,
        consumes: CONSUMES,
        produces: PRODUCES,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const model = models.detector(query.model);
      const panoptic = model.model.info.task === 'panoptic-segmentation';
      const views = panoptic ? DETECT_VIEWS : DETECT_VIEWS.filter(({ name }) => name !== 'panoptic');
      const view = chooseView(request, views, query.view);
      const { bytes, name } = uploadOf(request);
      const ticket = ticketOf(request, reply, query, bytes.length);
      const { scoreThreshold, maxDetections, iouThreshold, maskThreshold } = query;
      const thresholds = {
        ...(scoreThreshold !== undefined && { scoreThreshold }),
        ...(maxDetections !== undefined && { maxDetections }),
        ...(iouThreshold !== undefined && { iouThreshold }),
        ...(maskThreshold !== undefined && { maskThreshold }),
      };
      const keepImage = detectNeedsImage(view.name);
      const served = await model.predict(bytes, thresholds, { ...ticket, keepImage });
      const { timing } = served.result.result;
      const started = performance.now();
      const job = detectJob(served, view.name, { model, query, signal: ticket.signal });
      const answer = 'kind' in job ? await render(job as RenderJob) : Buffer.from(JSON.stringify(job));
      return sendAnswer(reply, answer, {
        view,
        model,
        name,
        timing: timingOf(served.waited, timing),
        render: performance.now() - started,
      });
    },
  );
}
