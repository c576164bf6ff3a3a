import type { SegmentationMap } from '../../models/segmentation-map';
import type { Served } from '../batch-queue';
import type { Segmenter } from '../served-model';
import type { Prediction, SegmentRequestOptions } from '../tasks';
import { type Answer, type AnswerInit, timingOf } from './answer';
import type { RenderJob } from './render';
import type { SegmentQueryOptions } from './schemas';
import { scoreMap } from './score-map';
import type { SEGMENT_VIEWS } from './views';

/** A view of POST /segment. */
export type SegmentView = (typeof SEGMENT_VIEWS)[number]['name'];

/** Whether a view of POST /segment shows the image itself. */
export function segmentNeedsImage(view: SegmentView): boolean {
  return view === 'overlay';
}

/** What a request asks of the model: its scores too, where it wants them and its view can hold them. */
export function segmentOptions(view: SegmentView, { scores }: SegmentQueryOptions): SegmentRequestOptions {
  return view === 'rle' && scores === true ? { outputs: ['labels', 'scores'] } : {};
}

/** What a view of a segmentation is made of. */
export function segmentAnswer(
  { result: { result: map, image }, waited, batch }: Served<Prediction<SegmentationMap>>,
  view: SegmentView,
  { model, query }: AnswerInit<Segmenter, SegmentQueryOptions>,
): Answer {
  const { width, height, labels, classes, palette } = map;
  const named = { width, height, labels, classes, palette };
  const timing = timingOf(waited, map.timing);
  const job = (): RenderJob => {
    switch (view) {
      case 'rle': {
        const { name, version } = model.config;
        const before = { model: name, version, width, height };
        const scores = map.scores === undefined ? {} : { scores: scoreMap(map.scores, map) };
        return { kind: 'runs', map: named, before, after: { timing, batch }, ...scores };
      }
      case 'coco':
        return { kind: 'stuff', map: named, imageId: query.imageId ?? 1 };
      case 'labels':
        return { kind: 'labels', map: { width, height, labels } };
      case 'overlay': {
        const { opacity, legend } = query;
        const options = {
          ...(opacity !== undefined && { opacity }),
          ...(legend !== undefined && { legend }),
        };
        return { kind: 'overlay', map: named, image: image!, options };
      }
    }
  };
  return { timing, job: job() };
}
