import type { SegmentationMap } from '../../models/segmentation-map';
import type { Served } from '../batch-queue';
import type { Segmenter } from '../served-model';
import type { Prediction } from '../tasks';
import { type AnswerInit, timingOf } from './answer';
import type { RenderJob } from './render';
import type { SegmentQueryOptions } from './schemas';
import type { SEGMENT_VIEWS } from './views';

/** A view of POST /segment. */
export type SegmentView = (typeof SEGMENT_VIEWS)[number]['name'];

/** Whether a view of POST /segment shows the image itself. */
export function segmentNeedsImage(view: SegmentView): boolean {
  return view === 'overlay';
}

/** What is to be rendered of a segmentation. */
export function segmentJob(
  { result: { result: map, image }, waited, batch }: Served<Prediction<SegmentationMap>>,
  view: SegmentView,
  { model, query, signal }: AnswerInit<Segmenter, SegmentQueryOptions>,
): RenderJob {
  const { width, height, labels, classes, palette } = map;
  const named = { width, height, labels, classes, palette };
  switch (view) {
    case 'rle': {
      const { name, version } = model.config;
      const timing = timingOf(waited, map.timing);
      return {
        kind: 'runs',
        map: named,
        before: { model: name, version, width, height },
        after: { timing, batch },
      };
    }
    case 'coco':
      return { kind: 'stuff', map: named, imageId: query.imageId ?? 1 };
    case 'labels':
      return { kind: 'labels', map: { width, height, labels } };
    case 'overlay': {
      const { opacity, legend } = query;
      const options = {
        signal,
        ...(opacity !== undefined && { opacity }),
        ...(legend !== undefined && { legend }),
      };
      return { kind: 'overlay', map: named, image: image!, options };
    }
  }
}
