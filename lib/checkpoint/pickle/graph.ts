import { refuse } from '../codes';
import { PyDict, PyList, PySet, PyTuple, type PyValue } from './values';

const MAX_DEPTH = 256;
const MAX_EXPANDED = 10_000_000;

interface Visit {
  readonly node: object;
  readonly children: readonly PyValue[];
  next: number;
  /** Deepest nesting below, and the number of values that the node stands for if nothing were shared. */
  depth: number;
  expanded: number;
}

/** The values inside a container, or undefined for a leaf. */
export function childrenOf(value: PyValue): readonly PyValue[] | undefined {
  if (value instanceof PyList || value instanceof PyTuple || value instanceof PySet) return value.items;
  if (value instanceof PyDict) {
    const children = [...value.entries.values()];
    for (const key of value.entries.keys()) if (typeof key === 'object' && key !== null) children.push(key);
    return children;
  }
  return undefined;
}

/**
 * Walks the values once, each shared one a single time, with a stack of its own. Refuses nesting beyond 256, values
 * that contain themselves, and sharing that stands for more than ten million values ("billion laughs"): whoever
 * walks or prints the value afterwards is safe.
 */
export function checkGraph(root: PyValue): void {
  const done = new Map<object, { depth: number; expanded: number }>();
  const open = new Set<object>();
  const stack: Visit[] = [];
  const enter = (value: PyValue): void => {
    const children = childrenOf(value);
    if (children === undefined) return;
    const node = value as object;
    open.add(node);
    stack.push({ node, children, next: 0, depth: 1, expanded: 1 });
  };
  enter(root);
  while (stack.length > 0) {
    const visit = stack[stack.length - 1]!;
    if (stack.length > MAX_DEPTH || visit.depth > MAX_DEPTH) {
      refuse('ERR_CHECKPOINT_PICKLE_DEPTH', 'the pickle', `at most ${MAX_DEPTH} levels of nesting`, 'more');
    }
    if (visit.next === visit.children.length) {
      stack.pop();
      open.delete(visit.node);
      done.set(visit.node, { depth: visit.depth, expanded: visit.expanded });
      const parent = stack[stack.length - 1];
      if (parent !== undefined) take(parent, visit);
      continue;
    }
    const child = visit.children[visit.next++]!;
    const known = typeof child === 'object' && child !== null ? done.get(child) : undefined;
    if (known !== undefined) take(visit, known);
    else if (typeof child === 'object' && child !== null && open.has(child)) {
      refuse(
        'ERR_CHECKPOINT_PICKLE_CYCLE',
        'the pickle',
        'values that do not contain themselves',
        'one that does',
      );
    } else if (isLeaf(child)) visit.expanded += 1;
    else enter(child);
  }
}

function isLeaf(value: PyValue): boolean {
  return !(
    value instanceof PyList ||
    value instanceof PyTuple ||
    value instanceof PySet ||
    value instanceof PyDict
  );
}

function take(parent: Visit, child: { depth: number; expanded: number }): void {
  parent.depth = Math.max(parent.depth, child.depth + 1);
  parent.expanded += child.expanded;
  if (parent.expanded > MAX_EXPANDED) {
    const expected = `values that stand for at most ${MAX_EXPANDED} in all`;
    refuse(
      'ERR_CHECKPOINT_PICKLE_EXPANSION',
      'the pickle',
      expected,
      'shared values that multiply beyond that',
    );
  }
}
