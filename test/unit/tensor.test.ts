import { cat, FreqFusionError, full, memoryStats, scope, Tensor, tensor, zeros } from '../../lib';
import { collectGarbage } from '../collect-garbage';

beforeAll(collectGarbage);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FreqFusionError) return error.code;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('tensor()', () => {
  test('given a typed array and a shape, when read back, then the values and the dtype are the same', async () => {
    using x = tensor(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]);
    expect(x.shape).toEqual([2, 3]);
    expect(x.dtype).toBe('float32');
    expect(x.device).toBe('cpu');
    expect(x.size).toBe(6);
    expect(Array.from(await x.data())).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([
    ['float32', new Float32Array([1.5, -2])],
    ['float64', new Float64Array([1.5, -2])],
    ['int32', new Int32Array([1, -2])],
    ['int16', new Int16Array([1, -2])],
    ['int8', new Int8Array([1, -2])],
    ['uint8', new Uint8Array([1, 254])],
  ] as const)('given a typed array of %s, then it keeps its own dtype', (dtype, values) => {
    using x = tensor(values);
    expect(x.dtype).toBe(dtype);
    expect(Array.from(x.dataSync() as Float32Array)).toEqual(Array.from(values));
  });

  test('given 64-bit integers, then they come back as BigInt without loss', () => {
    using x = tensor(new BigInt64Array([9007199254740993n, -1n]));
    expect(Array.from(x.dataSync() as unknown as BigInt64Array)).toEqual([9007199254740993n, -1n]);
    expect(x.slice(0, 0, 1).item()).toBe(9007199254740993n);
  });

  test('given raw 16-bit words, then bfloat16 and float16 carry them unchanged', () => {
    using b = tensor(new Uint16Array([0x3fc0, 0xc000]), [2], { dtype: 'bfloat16' });
    using h = tensor(new Uint16Array([0x3e00, 0xc000]), [2], { dtype: 'float16' });
    expect(Array.from(b.to('float32').dataSync())).toEqual([1.5, -2]);
    expect(Array.from(h.to('float32').dataSync())).toEqual([1.5, -2]);
  });

  test('given nested numbers, then the shape is read from them', () => {
    using x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(x.shape).toEqual([2, 3]);
    using scalar = tensor(7);
    expect(scalar.shape).toEqual([]);
    expect(scalar.item()).toBe(7);
    using flags = tensor([true, false], [2], { dtype: 'bool' });
    expect(flags.slice(0, 0, 1).item()).toBe(true);
  });

  test('given share, then the tensor sees later writes to the array; without it, it does not', () => {
    const values = new Float32Array([1, 2]);
    using borrowed = tensor(values, [2], { share: true });
    using copied = tensor(values, [2]);
    values[0] = 9;
    expect(borrowed.slice(0, 0, 1).item()).toBe(9);
    expect(copied.slice(0, 0, 1).item()).toBe(1);
  });

  test('given memory shared between threads or a DataView, then it is read like any other', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    using x = tensor(shared);
    expect(Array.from(x.dataSync() as Float32Array)).toEqual([1, 2]);
    using view = tensor(new DataView(new Float32Array([3]).buffer), [1], { dtype: 'float32' });
    expect(view.item()).toBe(3);
  });

  test.each([
    ['a shape that does not fit', () => tensor(new Float32Array(6), [2, 2]), 'ERR_SHAPE'],
    ['a negative side', () => zeros([-1]), 'ERR_SHAPE'],
    ['a fractional side', () => zeros([1.5]), 'ERR_SHAPE'],
    ['a shape that is no array', () => zeros('2' as never), 'ERR_SHAPE'],
    ['a shape beyond 2^53', () => zeros([2 ** 30, 2 ** 30]), 'ERR_SHAPE'],
    ['an unknown dtype', () => zeros([1], { dtype: 'float8' as never }), 'ERR_DTYPE'],
    [
      'a dtype that the array is not',
      () => tensor(new Int32Array(1), [1], { dtype: 'float32' }),
      'ERR_DTYPE',
    ],
    ['a typed array of no dtype', () => tensor(new Uint32Array(1)), 'ERR_DTYPE'],
    ['ragged arrays', () => tensor([[1, 2], [3]]), 'ERR_SHAPE'],
    ['strings', () => tensor(['a'] as never), 'ERR_TYPE'],
    ['an object', () => tensor({} as never), 'ERR_TYPE'],
    ['a fraction as int64', () => tensor([0.5], [1], { dtype: 'int64' }), 'ERR_TYPE'],
    ['an unknown device', () => zeros([1], { device: 'tpu' as never }), 'ERR_DEVICE'],
  ])('given %s, then it throws with a code and both values', (_what, run, code) => {
    expect(codeOf(run)).toBe(code);
    try {
      run();
    } catch (error) {
      expect((error as FreqFusionError).expected).toBeTruthy();
      expect((error as FreqFusionError).actual).toBeTruthy();
      expect((error as FreqFusionError).message).toMatch(/^expected .* for .*, got /);
    }
  });

  test('given more memory than there is, then the error is typed and the process goes on', () => {
    expect(codeOf(() => zeros([2 ** 47]))).toBe('ERR_OUT_OF_MEMORY');
    using x = zeros([2]);
    expect(x.size).toBe(2);
  });

  test('given cuda without a GPU build, then the error names the devices there are', () => {
    using x = zeros([1]);
    if (!require('../../lib').runtimeInfo().cuda) expect(codeOf(() => x.to('cuda'))).toBe('ERR_DEVICE');
  });
});

describe('views', () => {
  const source = () =>
    tensor(
      Float32Array.from({ length: 24 }, (_, i) => i),
      [2, 3, 4],
    );

  test('reshape keeps the order, and infers one side', () => {
    using x = source();
    using flat = x.reshape([4, -1]);
    expect(flat.shape).toEqual([4, 6]);
    expect(Array.from(flat.dataSync())).toEqual(Array.from(x.dataSync()));
    expect(codeOf(() => x.reshape([5, -1]))).toBe('ERR_SHAPE');
    expect(codeOf(() => x.reshape([-1, -1]))).toBe('ERR_SHAPE');
  });

  test('slice takes a range with a step, counting from the end where negative', () => {
    using x = source();
    using part = x.slice(2, 1, 4, 2);
    expect(part.shape).toEqual([2, 3, 2]);
    expect(Array.from(part.dataSync())).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23]);
    using last = x.slice(-1, -1);
    expect(Array.from(last.dataSync())).toEqual([3, 7, 11, 15, 19, 23]);
    expect(codeOf(() => x.slice(3, 0))).toBe('ERR_RANGE');
    expect(codeOf(() => x.slice(0, 0, 1, 0))).toBe('ERR_RANGE');
  });

  test('permute reorders, contiguous packs, and data is always in C order', () => {
    using x = source();
    using turned = x.permute([2, 0, 1]);
    expect(turned.shape).toEqual([4, 2, 3]);
    expect(turned.strides).toEqual([1, 12, 4]);
    expect(Array.from(turned.dataSync()).slice(0, 6)).toEqual([0, 4, 8, 12, 16, 20]);
    using packed = turned.contiguous();
    expect(packed.strides).toEqual([6, 3, 1]);
    expect(codeOf(() => x.permute([0, 0, 1]))).toBe('ERR_SHAPE');
  });

  test('cat joins along a dimension and names what does not fit', () => {
    using x = source();
    using both = cat([x, x], 1);
    expect(both.shape).toEqual([2, 6, 4]);
    using other = zeros([2, 3, 5]);
    expect(codeOf(() => cat([x, other], 0))).toBe('ERR_SHAPE');
    using half = zeros([2, 3, 4], { dtype: 'float64' });
    expect(codeOf(() => cat<'float32' | 'float64'>([x, half], 0))).toBe('ERR_DTYPE');
    expect(codeOf(() => cat([]))).toBe('ERR_SHAPE');
  });

  test('item wants one element', () => {
    using x = source();
    expect(codeOf(() => x.item())).toBe('ERR_SHAPE');
  });

  test('to converts the dtype and leaves the original alone', () => {
    using x = full([2], 1.75);
    using integers = x.to('int32');
    expect(Array.from(integers.dataSync())).toEqual([1, 1]);
    using both = x.to({ dtype: 'float64', device: 'cpu' });
    expect(both.dtype).toBe('float64');
    expect(codeOf(() => x.to('nonsense' as never))).toBe('ERR_DTYPE');
  });
});

describe('lifetime', () => {
  test('given dispose, then every use throws ERR_DISPOSED and the count returns to its start', () => {
    const before = memoryStats().liveTensors;
    const x = zeros([4]);
    expect(memoryStats().liveTensors).toBe(before + 1);
    x.dispose();
    x.dispose();
    expect(x.disposed).toBe(true);
    expect(memoryStats().liveTensors).toBe(before);
    expect(codeOf(() => x.dataSync())).toBe('ERR_DISPOSED');
    expect(codeOf(() => x.reshape([2, 2]))).toBe('ERR_DISPOSED');
  });

  test('given a view of a disposed tensor, then its elements are still there', () => {
    const x = tensor(new Float32Array([1, 2, 3]));
    using view = x.slice(0, 1);
    x.dispose();
    expect(Array.from(view.dataSync() as Float32Array)).toEqual([2, 3]);
  });

  test('given a scope, then all but what it returns is freed, in synchronous and asynchronous code', async () => {
    const before = memoryStats().liveTensors;
    const kept = scope(() => {
      zeros([8]);
      return { inner: [zeros([2])] };
    });
    expect(memoryStats().liveTensors).toBe(before + 1);
    kept.inner[0]!.dispose();
    const inside = memoryStats().liveTensors;
    const later = await scope(async () => {
      const first = zeros([8]);
      await first.data();
      return zeros([3]);
    });
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(inside + 1);
    later.dispose();
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
  });

  test('given an error in a scope, then nothing stays behind', async () => {
    const before = memoryStats().liveTensors;
    expect(() =>
      scope(() => {
        zeros([8]);
        throw new Error('planned');
      }),
    ).toThrow('planned');
    await expect(
      scope(async () => {
        zeros([8]);
        throw new Error('planned');
      }),
    ).rejects.toThrow('planned');
    expect(memoryStats().liveTensors).toBeLessThanOrEqual(before);
  });

  test('given two scopes that await in turn, then neither frees the tensors of the other', async () => {
    const run = (size: number) =>
      scope(async () => {
        const x = full([size], size);
        await new Promise((resolve) => setTimeout(resolve, 5 * size));
        return Array.from(await x.data());
      });
    expect(await Promise.all([run(1), run(2)])).toEqual([[1], [2, 2]]);
  });

  test('given a scope inside a scope, then what the inner one returns belongs to the outer one', () => {
    const before = memoryStats().liveTensors;
    scope(() => {
      const inner = scope(() => zeros([2]));
      expect(inner.disposed).toBe(false);
    });
    expect(memoryStats().liveTensors).toBe(before);
  });

  test('given tensors of 16 MB made and disposed 300 times, then memory stays flat', () => {
    for (let i = 0; i < 20; ++i) zeros([4 << 20]).dispose();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 300; ++i) {
      using x = zeros([4 << 20]);
      using y = x.clone();
      expect(y.size).toBe(4 << 20);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  test('given a foreign object as a handle, then it is refused', () => {
    const { native } = require('../../lib/native');
    expect(codeOf(() => native().tensorInfo({}))).toBe('ERR_HANDLE');
    expect(codeOf(() => native().tensorInfo(undefined))).toBe('ERR_HANDLE');
    expect(Tensor.name).toBe('Tensor');
  });
});
