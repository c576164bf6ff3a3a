// What a user of CommonJS writes. Compiled against the package's own types, never run.
import freqfusion = require('freqfusion');
import bulk = require('freqfusion/bulk');
import serving = require('freqfusion/server');

const { FreqFusionError, tensor } = freqfusion;

export async function run(signal: AbortSignal): Promise<Float32Array> {
  const features: freqfusion.Tensor<'float32'> = tensor(new Float32Array(4), [1, 1, 2, 2]);
  const masks = tensor(new Float32Array(9 * 16), [1, 9, 4, 4]);
  try {
    const output = await freqfusion.carafe(features, masks, { kernelSize: 3, signal });
    return await output.data();
  } catch (error) {
    if (error instanceof FreqFusionError) console.error(error.code, error.expected, error.actual);
    throw error;
  } finally {
    features.dispose();
  }
}

// @ts-expect-error a shape is a list
tensor(new Float32Array(4), 4);

export const server: serving.InferenceServer = new serving.InferenceServer(serving.defaultServeConfig());

export const status: Promise<bulk.RunStatus[]> = bulk.runStatus({ run: 'march' });
