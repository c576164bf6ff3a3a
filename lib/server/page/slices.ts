/** Milliseconds of work after which the page gets a turn. */
const SLICE = 12;

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/**
 * Calls `step` for 0 to `count` - 1 and lets the page breathe in between. Resolves to false where `signal` fired before
 * the end.
 */
export async function inSlices(
  count: number,
  step: (index: number) => void,
  signal: AbortSignal,
): Promise<boolean> {
  let since = performance.now();
  for (let index = 0; index < count; index++) {
    if (performance.now() - since > SLICE) {
      await turn();
      since = performance.now();
    }
    if (signal.aborted) return false;
    step(index);
  }
  return !signal.aborted;
}
