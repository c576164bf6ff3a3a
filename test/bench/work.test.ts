import { MaskRcnn } from '../../lib';
import { backboneFlops, maskRcnnWork } from '../../lib/bench/detectors';
import { bandwidth, type Roofs, roofMs } from '../../lib/bench/roofs';
import { carafeFlops, convolutionFlops, freqFusionFlops, similarityFlops } from '../../lib/bench/work';

const roofs: Roofs = {
  copy: { best: 50, median: 45 },
  stream: { best: 80, median: 70 },
  fma: { best: 400, median: 380 },
};

describe('work', () => {
  it('counts a multiply-add as two operations', () => {
    expect(carafeFlops(5, 128, 512 * 512)).toBe(2 * 25 * 128 * 512 * 512);
    // Four pairs and a norm: a pair serves both of its pixels.
    expect(similarityFlops(3, 1, 1)).toBe(10);
  });

  it('counts convolutions by their weights and output pixels, and leaves everything else out', () => {
    const parameters = [
      { name: 'a.weight', shape: [8, 4, 3, 3] },
      { name: 'a.bias', shape: [8] },
      { name: 'norm.weight', shape: [8] },
      { name: 'window', shape: [1, 1, 5, 5] },
    ];
    expect(convolutionFlops(parameters, () => 100)).toBe(2 * 8 * 4 * 9 * 100);
    expect(convolutionFlops(parameters, () => 0)).toBe(0);
  });

  it('counts ResNet-50 as it is known: 4.087 billion multiply-adds for 224 x 224 pixels', () => {
    using detector = new MaskRcnn();
    const parameters = detector.stateInfo();
    expect(backboneFlops(parameters, 224 * 224)).toBe(2 * 4_087_136_256);
    // Its heads and neck do several times that work on a photo.
    const { flops, bytes } = maskRcnnWork(detector, 800, 1216);
    expect(flops / backboneFlops(parameters, 832 * 1216)).toBeGreaterThan(2.5);
    expect(flops / backboneFlops(parameters, 832 * 1216)).toBeLessThan(4);
    expect(bytes).toBeGreaterThan(4 * 50_000_000);
  });

  it('runs the encoders of FreqFusion at both sizes and its compressors at one', () => {
    const encoder = [{ name: 'content_encoder.weight', shape: [25, 64, 3, 3] }];
    const compressor = [{ name: 'lr_channel_compressor.weight', shape: [64, 128, 1, 1] }];
    const options = { hrChannels: 128, lrChannels: 128 };
    const none = freqFusionFlops(options, [], [64, 64]);
    expect(freqFusionFlops(options, encoder, [64, 64]) - none).toBe(2 * 25 * 64 * 9 * (4096 + 1024));
    expect(freqFusionFlops(options, compressor, [64, 64]) - none).toBe(2 * 64 * 128 * 1024);
  });
});

describe('the roof', () => {
  it('is the better copy', () => {
    expect(bandwidth(roofs)).toBe(80);
  });

  it('is the greater of computing and moving', () => {
    expect(roofMs({ flops: 400e9, bytes: 1 }, roofs)).toBeCloseTo(1000);
    expect(roofMs({ flops: 1, bytes: 160e9 }, roofs)).toBeCloseTo(2000);
  });
});
