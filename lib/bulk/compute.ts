import { FreqFusionError } from '../errors';
import { decodeImage } from '../image/decode';
import { type Writer, writeWhole } from './atomic';
import { shownThresholds, writeDetections } from './detection-output';
import type { RunModelInstance } from './model-cache';
import type { RunOptions } from './run-options';
import { writeSegmentation } from './segmentation-output';

/** One image of a run and where its result goes, both absolute. */
export interface ImageJob {
  readonly image: string;
  readonly output: string;
}

/** Computes one image and writes its result whole. Throws what decoding, the network and writing throw. */
export async function computeJob(
  instance: RunModelInstance,
  options: RunOptions,
  job: ImageJob,
  writer: Writer,
): Promise<void> {
  const { maxPixels } = options;
  const decoded = await decodeImage(job.image, maxPixels === undefined ? {} : { maxPixels });
  if (instance.task === 'segment' && options.task === 'segment') {
    const { format, inference } = options;
    using map = await instance.model.segment(decoded, {
      outputs: format === 'logits' ? ['logits'] : [],
      ...(inference !== undefined && { inference }),
      ...(maxPixels !== undefined && { maxPixels }),
    });
    await writeWhole(job.output, writer, false, (path) => writeSegmentation(map, decoded, path, options));
  } else if (instance.task === 'detect' && options.task === 'detect') {
    const { info } = instance.model;
    if (options.format === 'masks' && info.task === 'object-detection') {
      const name = info.architecture ?? info.checkpoint;
      throw new FreqFusionError(
        'ERR_NOT_SUPPORTED',
        `format masks needs a model with masks, and ${name} finds boxes alone`,
      );
    }
    const result = await instance.model.detect(decoded, {
      ...shownThresholds(options, instance.model),
      ...(maxPixels !== undefined && { maxPixels }),
    });
    await writeWhole(job.output, writer, options.format === 'masks', (path) =>
      writeDetections(result, decoded, { image: job.image, output: path }, options),
    );
  }
}
