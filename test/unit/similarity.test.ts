import { splitEdges } from '../../lib/analysis/edges';
import { featureSimilarity, type SimilaritySample } from '../../lib/analysis/feature-similarity';
import { labelTable } from '../../lib/analysis/label-map';
import { parseNpy } from '../../lib/analysis/npy';
import { similarityPlot } from '../../lib/analysis/plot';
import { planeResizer, resizeLabels } from '../../lib/analysis/resize';

const V = 255;

/** Two classes side by side, each with a feature of its own and a blend along the border between them. */
function image(height = 6, width = 8): SimilaritySample {
  const labels = Uint8Array.from({ length: height * width }, (_, i) => (i % width < width / 2 ? 0 : 1));
  const data = new Float32Array(2 * height * width);
  for (let i = 0; i < labels.length; i += 1) {
    data[i] = labels[i] === 0 ? 1 : 0.2;
    data[labels.length + i] = labels[i] === 0 ? 0.2 : 1;
  }
  return { labels: { data: labels, height, width }, features: { data, channels: 2, height, width } };
}

const SMALL = { size: [6, 8], labelMap: 'identity', numClasses: 3 } as const;

describe('featureSimilarity', () => {
  it('finds features that are constant within a class wholly similar and wholly right', async () => {
    const result = await featureSimilarity([image(), image()], { ...SMALL, edgeKernel: 3 });
    expect(result.images).toBe(2);
    expect(result.intraMean).toBeCloseTo(1, 6);
    expect(result.interMean).toBeCloseTo(0.4 / 1.04, 5);
    expect(result.margin).toBeCloseTo(1 - 0.4 / 1.04, 5);
    expect(result.pixelRightRate).toBe(1);
    // Two columns on each side of the border: it is marked on both, and the box of three widens each by one.
    expect(result.classes.map((entry) => entry.pixels)).toEqual([24, 24, 0]);
    expect(result.classes[2]).toMatchObject({ intraMean: null, interMean: null, rightRate: null });
  });

  it('reports nothing that rests on one image alone', async () => {
    const result = await featureSimilarity([image()], { ...SMALL, edgeKernel: 0 });
    expect(result.classes[0]).toMatchObject({
      intraMean: null,
      interMean: null,
      rightRate: null,
      pixels: 24,
    });
    expect(result.intraMean).toBeNaN();
  });

  it('reads samples one at a time from an async iterable and tells its progress', async () => {
    const seen: number[] = [];
    async function* twice() {
      yield image();
      yield image();
    }
    await featureSimilarity(twice(), { ...SMALL, edgeKernel: 0, onProgress: (done) => seen.push(done) });
    expect(seen).toEqual([1, 2]);
  });

  it('concatenates layers of different sizes, and clips channels', async () => {
    const one = image();
    const map = one.features as { data: Float32Array; channels: number; height: number; width: number };
    const extra = { data: new Float32Array(3 * 2 * 2).fill(1), channels: 3, height: 2, width: 2 };
    const sample = { labels: one.labels, features: [map, extra] };
    const both = await featureSimilarity([sample, sample], { ...SMALL, edgeKernel: 0 });
    expect(both.interMean).toBeCloseTo((0.4 + 3) / (1.04 + 3), 5);
    const clipped = await featureSimilarity([sample, sample], { ...SMALL, edgeKernel: 0, channelClip: 2 });
    expect(clipped.interMean).toBeCloseTo((0.4 + 2) / (1.04 + 2), 5);
  });

  it.each([
    ['size', { size: [0, 8] }, /size\[0\]/],
    ['edgeKernel', { edgeKernel: 2.5 }, /edgeKernel/],
    ['interpolation', { interpolation: 'cubic' }, /'bilinear' or 'nearest'/],
    ['numClasses', { numClasses: 256 }, /numClasses/],
    ['labelMap', { labelMap: 5 }, /labelMap/],
  ])('refuses a bad %s', async (_name, options, message) => {
    await expect(featureSimilarity([image()], options as never)).rejects.toThrow(message);
  });

  it('refuses labels and features that do not fit their sides', async () => {
    const { labels, features } = image();
    await expect(featureSimilarity([{ labels: { ...labels, width: 9 }, features }], SMALL)).rejects.toThrow(
      /labels/,
    );
    await expect(
      featureSimilarity([{ labels, features: { ...(features as object), channels: 3 } as never }], SMALL),
    ).rejects.toThrow(/features/);
  });
});

describe('its parts', () => {
  it('maps Cityscapes ids to train ids and everything else to void', () => {
    const table = labelTable('cityscapes');
    expect([0, 7, 8, 11, 23, 26, 33, 34, 255].map((id) => table[id])).toEqual([V, 0, 1, 2, 10, 13, 18, V, V]);
    expect([3, 7].map((id) => labelTable({ 7: 2 })[id])).toEqual([V, 2]);
    expect(() => labelTable({ 7: 300 })).toThrow(/0 to 255/);
  });

  it('keeps borders away from void', () => {
    const labels = Uint8Array.from([0, 0, 0, 0, 1, 1, 1, 1, 1, V]);
    const { edge, interior } = splitEdges(labels, 1, 10, 3);
    expect(Array.from(edge)).toEqual([V, V, 0, 0, 1, 1, V, 1, V, V]);
    expect(Array.from(interior)).toEqual([0, 0, V, V, V, V, 1, V, 1, V]);
  });

  it('takes the nearest label and blends features at pixel centres', () => {
    expect(Array.from(resizeLabels([1, 2, 3, 4], 1, 4, 1, 2))).toEqual([1, 3]);
    const into = new Float32Array(4);
    planeResizer(1, 2, 1, 4, 'bilinear')(Float32Array.of(0, 1), 0, into);
    expect(Array.from(into)).toEqual([0, 0.25, 0.75, 1]);
    planeResizer(1, 2, 1, 4, 'nearest')(Float32Array.of(0, 1), 0, into);
    expect(Array.from(into)).toEqual([0, 0, 1, 1]);
  });

  it('draws a PNG without system fonts', async () => {
    const result = await featureSimilarity([image(), image()], { ...SMALL, edgeKernel: 3 });
    const png = await similarityPlot(result, { names: ['left', 'right'] });
    expect(png.subarray(1, 4).toString('latin1')).toBe('PNG');
  });
});

describe('parseNpy', () => {
  const npy = (descr: string, shape: string, body: Buffer, order = 'False', version = 1): Buffer => {
    const header = Buffer.from(
      `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`,
      'latin1',
    );
    const length = Buffer.alloc(version === 1 ? 2 : 4);
    if (version === 1) length.writeUInt16LE(header.length);
    else length.writeUInt32LE(header.length);
    return Buffer.concat([
      Buffer.from('\u0093NUMPY', 'latin1'),
      Buffer.from([version, 0]),
      length,
      header,
      body,
    ]);
  };
  const floats = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer);

  it('reads float32 in C and in Fortran order', () => {
    const values = floats(1, 2, 3, 4, 5, 6);
    expect(parseNpy(npy('<f4', '(2, 3)', values))).toEqual({
      shape: [2, 3],
      data: Float32Array.of(1, 2, 3, 4, 5, 6),
    });
    expect(parseNpy(npy('<f4', '(2, 3)', values, 'True')).data).toEqual(Float32Array.of(1, 3, 5, 2, 4, 6));
  });

  it('reads other element types, byte orders and format versions', () => {
    expect(parseNpy(npy('>i2', '(2,)', Buffer.from([0, 1, 255, 255]))).data).toEqual(Float32Array.of(1, -1));
    expect(parseNpy(npy('<f2', '(1,)', Buffer.from([0, 0x3c]), 'False', 2)).data).toEqual(Float32Array.of(1));
    expect(parseNpy(npy('|u1', '()', Buffer.from([9]), 'False', 3))).toEqual({
      shape: [],
      data: Float32Array.of(9),
    });
  });

  it.each([
    ['no .npy file', Buffer.from('hello world')],
    ['objects', npy('|O', '(1,)', floats(1))],
    ['text', npy('<U3', '(1,)', floats(1))],
    ['missing values', npy('<f4', '(3,)', floats(1))],
    ['left-over values', npy('<f4', '(1,)', floats(1, 2))],
    ['an absurd shape', npy('<f4', '(99999999, 99999999)', floats(1))],
    ['a cut header', npy('<f4', '(1,)', floats(1)).subarray(0, 30)],
  ])('refuses %s', (_what, bytes) => {
    expect(() => parseNpy(bytes)).toThrow(/expected .* got/);
  });
});
