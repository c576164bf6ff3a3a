import { encodePanopticPng } from '../../coco/panoptic-png';
import { type CocoStuffResult, stuffResults } from '../../coco/stuff-results';
import { writePicture } from '../../image/canvas';
import {
  type DetectionOverlayOptions,
  type DetectionSubject,
  type PanopticSubject,
  renderDetections,
  renderPanoptic,
} from '../../image/detection-overlay';
import { classAreas, classShares, labelRuns, type NamedLabelMap } from '../../image/label-areas';
import { encodeLabelPng, type LabelMap } from '../../image/labels';
import { type OverlayOptions, renderOverlay } from '../../image/overlay';
import type { DecodedImage } from '../../image/types';

/** An answer to be made of a result: plain data alone, so that it can go to another thread. */
export type RenderJob =
  | { readonly kind: 'runs'; readonly map: NamedLabelMap; readonly before: object; readonly after: object }
  | { readonly kind: 'stuff'; readonly map: NamedLabelMap; readonly imageId: number }
  | { readonly kind: 'labels'; readonly map: LabelMap }
  | {
      readonly kind: 'overlay';
      readonly map: NamedLabelMap;
      readonly image: DecodedImage;
      readonly options: OverlayOptions;
    }
  | {
      readonly kind: 'detections';
      readonly subject: DetectionSubject;
      readonly image: DecodedImage;
      readonly options: DetectionOverlayOptions;
    }
  | {
      readonly kind: 'panoptic';
      readonly subject: PanopticSubject;
      readonly image: DecodedImage;
      readonly options: DetectionOverlayOptions;
    }
  | { readonly kind: 'ids'; readonly ids: Int32Array; readonly width: number; readonly height: number };

/** Makes an answer's bytes: a PNG or the text of JSON. Throws what the drawing and encoding functions throw. */
export async function render(job: RenderJob): Promise<Buffer> {
  switch (job.kind) {
    case 'runs': {
      const { map, before, after } = job;
      return json({ ...before, classes: classAreas(map), runs: labelRuns(map.labels), ...after });
    }
    case 'stuff':
      return json(stuffResults(job.map, job.map.classes, job.imageId) satisfies CocoStuffResult[]);
    case 'labels':
      return encodeLabelPng(job.map);
    case 'overlay': {
      const { map, image, options } = job;
      const shares = classShares(classAreas(map), map.classes.length);
      return writePicture(await renderOverlay(image, { ...map, shares }, options));
    }
    case 'detections':
      return writePicture(await renderDetections(job.image, job.subject, job.options));
    case 'panoptic':
      return writePicture(await renderPanoptic(job.image, job.subject, job.options));
    case 'ids':
      return encodePanopticPng(job.ids, job.width, job.height);
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
