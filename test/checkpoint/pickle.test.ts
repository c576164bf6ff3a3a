import { TensorBudget } from '../../lib/checkpoint/geometry';
import { toPlain } from '../../lib/checkpoint/metadata';
import { unpickle } from '../../lib/checkpoint/pickle/machine';
import type { PyValue } from '../../lib/checkpoint/pickle/values';
import { MemorySource } from '../../lib/checkpoint/source';

/** Reads a pickle written as latin-1 text and gives its value as plain JavaScript. */
function read(pickled: string | Buffer): unknown {
  const bytes = typeof pickled === 'string' ? Buffer.from(pickled, 'latin1') : pickled;
  const source = new MemorySource(bytes, 'test');
  const context = { source, budget: new TensorBudget(), arrays: 0, charge: () => {} };
  return toPlain(unpickle({ bytes, position: 0 }, context).value, new Set<PyValue>());
}

function codeOf(pickled: string): string {
  try {
    read(pickled);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}

test.each([
  [
    'a dict of protocol 0',
    "(dp0\nS'a'\np1\nI1\nsS'b'\np2\n(lp3\nF0.5\naL12345678901234567890L\nas.",
    { a: 1, b: [0.5, 12345678901234567890n] },
  ],
  ['the booleans of protocol 0', '(I01\nI00\nt.', [true, false]],
  ['quoted texts with escapes', "S'a\\n\\x41\\101\\'\\\\'\n.", "a\nAA'\\"],
  ['texts of protocol 0', 'Vna\\u00efve\n.', 'naïve'],
  ['special floats', '(Fnan\nF-inf\nF1e5\nt.', [Number.NaN, -Infinity, 1e5]],
  [
    'integers of all widths',
    '\x80\x02(K\xffM\xff\xffJ\xff\xff\xff\xff\x8a\x02\x00\x80\x8a\x00\x8b\x01\x00\x00\x00\x7ft.',
    [255, 65535, -1, -32768, 0, 127],
  ],
  ['an integer beyond 2^53', '\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x20\x00.', 2n ** 53n],
  ['the least integer that a number holds', '\x80\x02\x8a\x07\x01\x00\x00\x00\x00\x00\xe0.', -(2 ** 53) + 1],
  ['tuples', '\x80\x02)K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87\x87.', [[1], [1, 2], [1, 2, 3]]],
  ['a set and a frozenset', '\x80\x04\x8f(K\x01K\x02\x90(K\x03\x91\x86.', [new Set([1, 2]), new Set([3])]],
  ['memo and duplicates', '\x80\x04]\x94K\x01ah\x002\x87.', [[1], [1], [1]]],
  ['a mark that is taken back', '\x80\x02K\x07(0.', 7],
  ['pop and pop-mark', '\x80\x02K\x01K\x020(K\x03K\x041.', 1],
  [
    'bytes of all opcodes',
    '\x80\x05(C\x01aB\x01\x00\x00\x00b\x8e\x01\x00\x00\x00\x00\x00\x00\x00c\x96\x01\x00\x00\x00\x00\x00\x00\x00dt.',
    ['a', 'b', 'c', 'd'].map((letter) => Uint8Array.from(Buffer.from(letter))),
  ],
  [
    'texts of all opcodes',
    '\x80\x04(X\x01\x00\x00\x00a\x8c\x01b\x8d\x01\x00\x00\x00\x00\x00\x00\x00ct.',
    ['a', 'b', 'c'],
  ],
  ['a frame', '\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x05.', 5],
  ['an instance of an old class', '\x80\x02(K\x01iproject\nThing\n.', { class: 'project.Thing' }],
  [
    'OBJ and NEWOBJ_EX',
    '\x80\x04((cproject\nThing\nK\x01ocproject\nOther\n)}\x92t.',
    [{ class: 'project.Thing' }, { class: 'project.Other' }],
  ],
  [
    'state of an unknown object is dropped',
    '\x80\x02cproject\nThing\n)\x81}(U\x01aK\x01ub.',
    { class: 'project.Thing' },
  ],
  [
    "copyreg's helper names the class",
    '\x80\x02ccopy_reg\n_reconstructor\n(cproject\nThing\nc__builtin__\nobject\nNtR.',
    { class: 'project.Thing' },
  ],
  ['OrderedDict of pairs', '\x80\x02ccollections\nOrderedDict\n](](U\x01aK\x01ee\x85R.', { a: 1 }],
] as [string, string, unknown][])('%s', (_what, pickled, expected) => {
  expect(read(pickled)).toEqual(expected);
});

test.each([
  ['EXT1', '\x80\x02\x82\x01.', 'ERR_CHECKPOINT_PICKLE_OPCODE'],
  ['out-of-band buffers', '\x80\x05\x97.', 'ERR_CHECKPOINT_PICKLE_OPCODE'],
  ['a persistent id in text', '\x80\x02Pname\n.', 'ERR_CHECKPOINT_PICKLE_PERSISTENT_ID'],
  ['a persistent id without storages', '\x80\x02K\x01Q.', 'ERR_CHECKPOINT_PICKLE_PERSISTENT_ID'],
  ['protocol 6', '\x80\x06N.', 'ERR_CHECKPOINT_PICKLE_PROTOCOL'],
  ['reaching below a mark', '\x80\x02K\x01(a.', 'ERR_CHECKPOINT_PICKLE_STACK'],
  ['no mark', '\x80\x02K\x01t.', 'ERR_CHECKPOINT_PICKLE_STACK'],
  ['STOP on an empty stack', '\x80\x02.', 'ERR_CHECKPOINT_PICKLE_STACK'],
  ['an odd number of items', '\x80\x02}(K\x01u.', 'ERR_CHECKPOINT_PICKLE_TYPE'],
  ['a list as a key', '\x80\x02}]Ns.', 'ERR_CHECKPOINT_PICKLE_TYPE'],
  ['arguments that are no tuple', '\x80\x02ccollections\nOrderedDict\n]R.', 'ERR_CHECKPOINT_PICKLE_TYPE'],
  ['calling an integer', '\x80\x02K\x01)R.', 'ERR_CHECKPOINT_PICKLE_TYPE'],
  ['calling an object', '\x80\x02cproject\nThing\n)\x81)R.', 'ERR_CHECKPOINT_CODE_CALL'],
  ['changing a class', '\x80\x02cproject\nThing\n}b.', 'ERR_CHECKPOINT_CODE_CALL'],
  ['a text that is not UTF-8', '\x80\x02X\x01\x00\x00\x00\xff.', 'ERR_CHECKPOINT_PICKLE_VALUE'],
  ['a malformed float', 'Fone\n.', 'ERR_CHECKPOINT_PICKLE_VALUE'],
  ['a text without its quotes', 'Sabc\n.', 'ERR_CHECKPOINT_PICKLE_VALUE'],
  ['a negative length', '\x80\x02T\xff\xff\xff\xff.', 'ERR_CHECKPOINT_PICKLE_LENGTH'],
  ['a length of 2^63', '\x80\x04\x8e\x00\x00\x00\x00\x00\x00\x00\x80.', 'ERR_CHECKPOINT_PICKLE_LENGTH'],
  ['an endless line', `I${'1'.repeat(5000)}`, 'ERR_CHECKPOINT_PICKLE_LENGTH'],
  ['a cut argument', '\x80\x02X\x08\x00\x00\x00abc', 'ERR_CHECKPOINT_TRUNCATED'],
  ['a cut between opcodes', '\x80\x02}(', 'ERR_CHECKPOINT_TRUNCATED'],
  ['nothing but STOP missing', '\x80\x02}', 'ERR_CHECKPOINT_PICKLE_NO_STOP'],
  [
    'another codec',
    '\x80\x02c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR.',
    'ERR_CHECKPOINT_PICKLE_TYPE',
  ],
  ['too many values on the stack', `\x80\x02${'K\x01'.repeat(1_000_001)}.`, 'ERR_CHECKPOINT_PICKLE_LIMIT'],
  [
    'too many memo entries',
    `\x80\x04N${Array.from({ length: 600_001 }, (_, i) => `p${i}\n`).join('')}.`,
    'ERR_CHECKPOINT_PICKLE_LIMIT',
  ],
  ['too many objects', `\x80\x02${']0'.repeat(600_001)}.`, 'ERR_CHECKPOINT_PICKLE_LIMIT'],
])('refused: %s', (_what, pickled, code) => {
  expect(codeOf(pickled)).toBe(code);
});
