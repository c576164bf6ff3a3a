// What a user of the ES module writes. Compiled against the package's own types, never run.
import {
  ArgumentError,
  carafe,
  type Detection,
  type DetectionModel,
  type DType,
  loadDetector,
  type MemoryStats,
  memoryStats,
  scope,
  Tensor,
  tensor,
} from 'freqfusion';
import { defaultServeConfig, InferenceServer, readServeConfig, type ServeConfig } from 'freqfusion/server';

const features: Tensor<'float32'> = tensor(new Float32Array(4), [1, 1, 2, 2]);
const masks = tensor(new Float32Array(9 * 16), [1, 9, 4, 4]);
const output: Tensor<'float32'> = await carafe(features, masks, { kernelSize: 3, border: 'reflect' });
export const values: Float32Array = await output.data();
export const shape: readonly number[] = output.shape;
export const stats: MemoryStats = memoryStats();
export const names: DType[] = ['float32', 'int64', 'bfloat16'];

const integers = tensor(new BigInt64Array(1), [1]);
export const big: BigInt64Array = await integers.data();

{
  using borrowed = tensor(new Float32Array(1), [1]);
  if (!(borrowed instanceof Tensor)) throw new ArgumentError('ERR_DTYPE', 'unreachable');
}
scope(() => tensor(new Float32Array(1), [1]));

// @ts-expect-error a border that does not exist
await carafe(features, masks, { border: 'replicate' });
// @ts-expect-error the elements of another dtype
export const wrong: BigInt64Array = await features.data();
// @ts-expect-error an option with a typo
await carafe(features, masks, { kernelsize: 3 });

const detector: DetectionModel = await loadDetector('model.pth', {
  architecture: 'mask-rcnn-r50-freqfusion',
});
const found = await detector.detect('photo.jpg', { scoreThreshold: 0.5, maxDetections: 10 });
export const best: Detection | undefined = found.detections[0];
export const edges: readonly [number, number, number, number] | undefined = best?.box;
export const pixels: Uint8Array | undefined = best?.mask?.toBitmap();
export const counts: string | undefined = found.toCoco(1)[0]?.segmentation?.counts;
export const segments: readonly { isThing: boolean }[] | undefined = found.panoptic?.segments;
for await (const { result, error } of detector.detectAll(['a.jpg'], { batch: 2, continueOnError: true })) {
  if (error === undefined) await result?.overlay('a.jpg', 'b.png', { minScore: 0.3 });
}
// @ts-expect-error an option of another name
await detector.detect('photo.jpg', { scoreThr: 0.5 });
// @ts-expect-error an option of segmentation models
await loadDetector(undefined, { nmfSeed: 1 });

const config: ServeConfig = await readServeConfig('server.yaml');
const server = new InferenceServer({ ...config, server: { ...config.server, port: 0 } });
export const { url }: { url: string } = await server.start();
await server.close({ timeout: 1000 });
// @ts-expect-error a member that does not exist
defaultServeConfig({ server: { prot: 8080 } });
