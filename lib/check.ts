import type { DType } from './dtype';
import { invalidArgument } from './errors';
import { Tensor } from './tensor';

/** What a tensor argument must be; what is left out is not checked. */
export interface TensorRule {
  rank?: number;
  /** One of these dtypes. */
  dtype?: readonly DType[];
  /** Size of dimension 1 of [N, C, ...]. */
  channels?: number;
  /** Its dtype and device must be this tensor's. */
  like?: Tensor;
}

/** Element types that the operators and modules compute in. */
export const FLOATING = ['float32', 'float64', 'float16', 'bfloat16'] as const satisfies readonly DType[];

/** Narrows a value to a live Tensor that follows the rule, or throws ERR_TYPE, ERR_SHAPE, ERR_DTYPE or ERR_DEVICE. */
export function checkTensor(value: unknown, name: string, rule: TensorRule = {}): Tensor {
  if (!(value instanceof Tensor)) throw invalidArgument('ERR_TYPE', name, 'a Tensor', value);
  const { rank, dtype, channels, like } = rule;
  if (rank !== undefined && value.rank !== rank) {
    const layout = rank === 4 ? 'a tensor [N, C, H, W]' : `a tensor of ${rank} dimensions`;
    throw invalidArgument('ERR_SHAPE', name, layout, value.shape);
  }
  if (channels !== undefined && value.shape[1] !== channels) {
    throw invalidArgument('ERR_SHAPE', name, `${channels} channels`, value.shape);
  }
  if (dtype !== undefined && !dtype.includes(value.dtype)) {
    throw invalidArgument('ERR_DTYPE', name, `dtype ${dtype.join(', ')}`, value.dtype);
  }
  if (like !== undefined && value.dtype !== like.dtype) {
    throw invalidArgument('ERR_DTYPE', name, `dtype ${like.dtype}, as the tensors beside it`, value.dtype);
  }
  if (like !== undefined && value.device !== like.device) {
    throw invalidArgument(
      'ERR_DEVICE',
      name,
      `device ${like.device}, as the tensors beside it`,
      value.device,
    );
  }
  return value;
}

/** Narrows a value to an integer between two bounds, or throws ERR_RANGE. */
export function checkInteger(
  value: unknown,
  name: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const range =
    max === Number.MAX_SAFE_INTEGER ? `an integer from ${min}` : `an integer from ${min} to ${max}`;
  throw invalidArgument('ERR_RANGE', name, range, value);
}

/** Bounds of a number: from `min`, or `above` a number that it must not be itself, to `max`. */
export interface NumberRule {
  min?: number;
  above?: number;
  max?: number;
}

/** Narrows a value to a finite number within bounds, or throws ERR_RANGE. */
export function checkNumber(value: unknown, name: string, { min, above, max }: NumberRule = {}): number {
  const number = typeof value === 'number' && Number.isFinite(value);
  if (
    number &&
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (max === undefined || value <= max)
  ) {
    return value;
  }
  const low = above !== undefined ? ` above ${above}` : min !== undefined ? ` from ${min}` : '';
  throw invalidArgument('ERR_RANGE', name, `a number${low}${max === undefined ? '' : ` to ${max}`}`, value);
}

/** Narrows a value to an odd window size, or throws ERR_RANGE. */
export function checkOdd(value: unknown, name: string, max: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value % 2 === 1 && value >= 1 && value <= max)
    return value;
  throw invalidArgument('ERR_RANGE', name, `an odd integer from 1 to ${max}`, value);
}

/** Narrows a value to one of a few names, or throws ERR_OPTION_VALUE. */
export function checkChoice<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  if (typeof value === 'string' && (choices as readonly string[]).includes(value)) return value as T;
  const list = choices.map((choice) => JSON.stringify(choice)).join(', ');
  throw invalidArgument('ERR_OPTION_VALUE', name, `one of ${list}`, value);
}

/** Narrows a value to a boolean, or throws ERR_TYPE. */
export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw invalidArgument('ERR_TYPE', name, 'a boolean', value);
}
