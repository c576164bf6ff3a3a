import { quote, refuse } from '../codes';
import { setArrayState, setTypeState } from '../numpy';
import { setItem } from './globals';
import {
  kindOf,
  type PickleContext,
  PyArray,
  PyArrayType,
  PyDict,
  PyGlobal,
  PyList,
  PyOpaque,
  PySet,
  PyTensor,
  PyUnsupported,
  type PyValue,
} from './values';

/** BUILD: numpy's arrays and dtypes get their content. Attributes of anything else are dropped, never set. */
export function build(target: PyValue, state: PyValue, context: PickleContext): void {
  if (target instanceof PyArray) setArrayState(target, state, context);
  else if (target instanceof PyArrayType) setTypeState(target, state);
  else if (target instanceof PyGlobal) {
    const actual = `BUILD on ${quote(target.path)}`;
    refuse('ERR_CHECKPOINT_CODE_CALL', 'the pickle', 'no change of a class or function', actual);
  } else if (!BUILDABLE.some((type) => target instanceof type)) wrongTarget('BUILD', 'an object', target);
}

/** APPEND and APPENDS. Items of an unknown class's object are dropped. */
export function appendTo(items: readonly PyValue[], list: PyValue): void {
  if (list instanceof PyList) list.append(items);
  else if (!(list instanceof PyOpaque)) wrongTarget('APPEND', 'a list', list);
}

/** ADDITEMS. */
export function addTo(items: readonly PyValue[], set: PyValue): void {
  if (set instanceof PySet) set.add(items);
  else if (!(set instanceof PyOpaque)) wrongTarget('ADDITEMS', 'a set', set);
}

/** SETITEM, SETITEMS and DICT: keys and values in turn. */
export function setItems(dict: PyValue, items: readonly PyValue[]): void {
  if (items.length % 2 !== 0) wrongTarget('SETITEMS', 'pairs', null);
  if (dict instanceof PyOpaque) return;
  if (!(dict instanceof PyDict)) wrongTarget('SETITEM', 'a dict', dict);
  for (let i = 0; i < items.length; i += 2) setItem(dict, items[i]!, items[i + 1]!);
}

const BUILDABLE = [PyDict, PyList, PySet, PyOpaque, PyTensor, PyUnsupported] as const;

/** Refuses an opcode whose operand is of another type. */
export function wrongTarget(opcode: string, expected: string, actual: PyValue | undefined): never {
  refuse('ERR_CHECKPOINT_PICKLE_TYPE', `${opcode} in the pickle`, expected, kindOf(actual));
}
