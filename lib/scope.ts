import { AsyncLocalStorage } from 'node:async_hooks';
import { isPromise } from './promise';

/** Anything with native memory: a tensor, a module, a model. */
export interface NativeResource {
  dispose(): void;
}

class Scope {
  readonly owned = new Set<NativeResource>();
  open = true;

  close(kept: unknown): void {
    this.open = false;
    const survivors = new Set<unknown>();
    collect(kept, survivors);
    const outer = current.getStore();
    for (const resource of this.owned) {
      if (!survivors.has(resource)) resource.dispose();
      else if (outer?.open) outer.owned.add(resource);
    }
  }
}

// Asynchronous context, not a plain stack: two scopes that await in turn must not free each other's tensors.
const current = new AsyncLocalStorage<Scope>();

/** @internal Registers a new handle with the innermost open scope. */
export function adopt(resource: NativeResource): void {
  const scope = current.getStore();
  if (scope?.open) scope.owned.add(resource);
}

/**
 * Runs a function, synchronous or not, and disposes every tensor made inside it except those that it returns
 * (alone, in an array, or as a member of a plain object). Tensors of an outer scope pass to that scope.
 */
export function scope<T>(run: () => T): T {
  const inner = new Scope();
  let result: T;
  try {
    result = current.run(inner, run);
  } catch (error) {
    inner.close(undefined);
    throw error;
  }
  if (!isPromise(result)) {
    inner.close(result);
    return result;
  }
  return result.then(
    (value) => {
      inner.close(value);
      return value;
    },
    (error) => {
      inner.close(undefined);
      throw error;
    },
  ) as T;
}

function collect(value: unknown, into: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || into.has(value)) return;
  into.add(value);
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    for (const each of value instanceof Map ? value.values() : value) collect(each, into);
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const each of Object.values(value)) collect(each, into);
  }
}
