import { setImmediate } from 'node:timers/promises';
import type { DecodedImage } from '../../image/types';
import type { RenderJob } from './render';

/** Bytes copied between two turns of the event loop: less than a millisecond of work. */
const SLICE = 1 << 20;

/**
 * A job whose pixels are in buffers of their own, which can be handed to another thread, and those buffers. What sharp
 * and the addon give is bound to native memory and would be copied at once, for 20 ms of an image of 12 megapixels.
 */
export async function transferable(job: RenderJob): Promise<{ job: RenderJob; buffers: ArrayBuffer[] }> {
  const buffers: ArrayBuffer[] = [];
  const own = async <View extends Uint8Array | Uint16Array | Int32Array>(view: View): Promise<View> => {
    const copy = await copySlowly(view);
    buffers.push(copy.buffer as ArrayBuffer);
    return copy;
  };
  const ownImage = async ({ data, width, height, format }: DecodedImage): Promise<DecodedImage> => {
    return { data: await own(data), width, height, channels: 3, format };
  };
  switch (job.kind) {
    case 'runs':
    case 'stuff':
    case 'labels':
    case 'overlay': {
      const map = { ...job.map, labels: await own(job.map.labels) };
      const moved = { ...job, map } as Extract<RenderJob, { map: unknown }>;
      if (moved.kind === 'runs' && moved.scores !== undefined) {
        buffers.push(moved.scores.bytes.buffer as ArrayBuffer);
      }
      if (moved.kind !== 'overlay') return { job: moved, buffers };
      return { job: { ...moved, image: await ownImage(moved.image) }, buffers };
    }
    case 'detections':
      return { job: { ...job, image: await ownImage(job.image) }, buffers };
    case 'panoptic': {
      const subject = { ...job.subject, ids: await own(job.subject.ids) };
      return { job: { ...job, subject, image: await ownImage(job.image) }, buffers };
    }
    case 'ids':
      return { job: { ...job, ids: await own(job.ids) }, buffers };
  }
}

/** Bytes of pixels that a job holds. */
export function bytesOf(job: RenderJob): number {
  const labels = 'map' in job ? job.map.labels.byteLength : 0;
  const image = 'image' in job ? job.image.data.byteLength : 0;
  const ids =
    job.kind === 'ids' ? job.ids.byteLength : job.kind === 'panoptic' ? job.subject.ids.byteLength : 0;
  const scores = job.kind === 'runs' ? (job.scores?.bytes.length ?? 0) : 0;
  return labels + image + ids + scores;
}

async function copySlowly<View extends Uint8Array | Uint16Array | Int32Array>(view: View): Promise<View> {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const copy = new Uint8Array(bytes.length);
  for (let from = 0; from < bytes.length; from += SLICE) {
    if (from > 0) await setImmediate();
    copy.set(bytes.subarray(from, from + SLICE), from);
  }
  if (view instanceof Uint16Array) return new Uint16Array(copy.buffer) as View;
  return (view instanceof Int32Array ? new Int32Array(copy.buffer) : copy) as View;
}
