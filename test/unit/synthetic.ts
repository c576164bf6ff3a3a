import { FreqFusionError, type Tensor, tensor } from '../../lib';
import { uniform, weight } from '../../lib/golden/synth';
import type { Module } from '../../lib/modules/module';

/** A map of known values in [-1, 1), by name. */
export function map(name: string, shape: readonly number[]): Tensor<'float32'> {
  return tensor(uniform(name, shape, -1, 1), shape);
}

/** Gives every parameter of a module a known value; constants stay. */
export async function fill<M extends Module>(module: M): Promise<M> {
  const values = module
    .stateInfo()
    .filter(({ kind }) => kind === 'parameter')
    .map(({ name, shape }) => [name, tensor(weight(name, shape), shape)] as const);
  await module.loadStateDict(Object.fromEntries(values), { strict: false });
  for (const [, value] of values) value.dispose();
  return module;
}

/** The error that something throws or rejects with. */
export async function errorOf(run: () => unknown): Promise<FreqFusionError> {
  try {
    await run();
  } catch (error) {
    if (error instanceof FreqFusionError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Largest difference between two tensors of one shape. */
export function distance(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  const [left, right] = [a.dataSync() as Float32Array, b.dataSync() as Float32Array];
  return left.reduce((worst, value, i) => Math.max(worst, Math.abs(value - right[i]!)), 0);
}

/** A map with its last row and column repeated up to a size. */
export function padEdge(x: Tensor, height: number, width: number): Tensor<'float32'> {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const from = x.dataSync() as Float32Array;
  const to = new Float32Array(n * c * height * width);
  for (let i = 0; i < to.length; i += 1) {
    const column = Math.min(i % width, w - 1);
    const row = Math.min(Math.floor(i / width) % height, h - 1);
    to[i] = from[(Math.floor(i / (width * height)) * h + row) * w + column]!;
  }
  return tensor(to, [n, c, height, width]);
}
