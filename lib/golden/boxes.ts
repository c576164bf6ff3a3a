import { type Tensor, tensor } from '../tensor';
import type { CaseRun } from './run';

/**
 * An input of coordinates or scores. In a half-precision run it stays float32: a coordinate of 700 has no pixels left
 * in 16 bits, and models keep their boxes in float32 as well.
 */
export async function boxesOf(run: CaseRun, name: string): Promise<Tensor> {
  if (run.target.dtype === 'float64') return run.input(name);
  const { data, shape, dtype } = await run.values(name);
  return tensor(data as unknown as ArrayBufferView, shape, { dtype }).to(run.target.device);
}
