import type { Binding } from './binding';
import {
  AbortError,
  ArgumentError,
  type ErrorCode,
  FreqFusionError,
  OutOfMemoryError,
  StateDictError,
} from './errors';
import { loadBinding } from './loader';
import { isPromise } from './promise';

interface NativeErrorShape {
  code?: string;
  message: string;
  expected?: string;
  actual?: string;
  requestedBytes?: number;
  freeBytes?: number;
  reservedBytes?: number;
}

/** Turns an error of the addon, a plain Error with a code, into the class that users test for. */
function typed(error: unknown): unknown {
  if (error instanceof FreqFusionError || typeof error !== 'object' || error === null) return error;
  const { code, message, expected, actual } = error as NativeErrorShape;
  if (typeof code !== 'string' || !code.startsWith('ERR_')) return error;
  const details = { expected, actual, cause: error };
  if (code === 'ERR_ABORTED') return new AbortError(code, message, details);
  if (code.startsWith('ERR_STATE_')) return new StateDictError(code as ErrorCode, message, details);
  if (code.endsWith('OUT_OF_MEMORY')) {
    const { requestedBytes, freeBytes, reservedBytes } = error as NativeErrorShape;
    return new OutOfMemoryError(code as ErrorCode, message, {
      cause: error,
      ...(requestedBytes !== undefined && { requestedBytes }),
      ...(freeBytes !== undefined && { freeBytes }),
      ...(reservedBytes !== undefined && { reservedBytes }),
    });
  }
  if (code.startsWith('ERR_CUDA_') || code === 'ERR_TORCH') {
    return new FreqFusionError(code as ErrorCode, message, details);
  }
  return new ArgumentError(code as ErrorCode, message, details);
}

function guard<F extends (...args: never[]) => unknown>(call: F): F {
  return ((...args: Parameters<F>) => {
    try {
      const result = call(...args);
      return isPromise(result)
        ? result.then(undefined, (error) => {
            throw typed(error);
          })
        : result;
    } catch (error) {
      throw typed(error);
    }
  }) as F;
}

let binding: Binding | undefined;

/** The addon, loaded at the first use so that importing the package costs nothing. Throws LoadError. */
export function native(): Binding {
  if (binding === undefined) {
    const raw = loadBinding() as unknown as Record<string, (...args: never[]) => unknown>;
    binding = Object.fromEntries(
      Object.entries(raw).map(([name, call]) => [name, guard(call)]),
    ) as unknown as Binding;
    // process.exit() runs no clean-up hook of an addon, but libtorch's static destructors.
    process.once('exit', () => binding?.shutdown());
  }
  return binding;
}
