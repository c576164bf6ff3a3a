import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoint, CheckpointError } from '../../lib';

const file = join(__dirname, 'fixtures', 'numpy_axes_p5.pkl');

describe("numpy's axis order 'K' (numpy 2.3 and later, protocol 5)", () => {
  test('given an array with its last two axes swapped, then its values come in logical order', () => {
    using checkpoint = Checkpoint.fromBytes(readFileSync(file));
    using tensor = checkpoint.stateDict().get('permuted')!.tensor();
    expect(tensor.shape).toEqual([2, 4, 3]);
    const want = Array.from({ length: 24 }, (_, i) => {
      const [n, y, x] = [Math.floor(i / 12), Math.floor(i / 3) % 4, i % 3];
      return n * 12 + x * 4 + y;
    });
    expect(Array.from(tensor.dataSync() as Float32Array)).toEqual(want);
  });

  test('given axes that are not each axis once, then the file is refused', () => {
    const bytes = readFileSync(file);
    // BININT1 0, 2, 1: the axes of the array. The last becomes a second 2.
    const axes = bytes.lastIndexOf(Buffer.from([0x4b, 0, 0x4b, 2, 0x4b, 1]));
    expect(axes).toBeGreaterThan(0);
    bytes[axes + 5] = 2;
    expect(() => Checkpoint.fromBytes(bytes)).toThrow(CheckpointError);
    expect(() => Checkpoint.fromBytes(bytes)).toThrow(/each of the 3 axes once/);
  });
});
