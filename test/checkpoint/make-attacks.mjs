#!/usr/bin/env node
// Writes test/checkpoint/attacks: one small hostile file for each rule of lib/checkpoint/codes.ts, named after it.
//
//   node test/checkpoint/make-attacks.mjs
//
// Every file is sound but for the one rule that it breaks. ERR_CHECKPOINT_FILE_CHANGED has none: it needs a file that
// is cut while it is open (see mapped.test.ts).
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';

const { packZip } = createRequire(import.meta.url)('./mutations.cjs');
const FOLDER = join(import.meta.dirname, 'attacks');

// A pickle assembler: each function gives the bytes of an opcode with its arguments.
const join_ = (...parts) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
const u8 = (value) => Buffer.from([value]);
const u16 = (value) => Buffer.from([value & 0xff, value >> 8]);
const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const PROTO = join_(u8(0x80), u8(2));
const STOP = '.';
const text = (value) => join_('X', u32(Buffer.byteLength(value)), Buffer.from(value, 'utf8'));
const bytes = (value) => join_('C', u8(value.length), value);
const global = (module, name) => `c${module}\n${name}\n`;
const tuple = (...items) => join_('(', ...items, 't');
const list = (...items) => join_(']', '(', ...items, 'e');
const call = (callable, ...args) => join_(callable, tuple(...args), 'R');
const dict = (...pairs) => join_('}', '(', ...pairs, 'u');
const none = 'N';
const yes = u8(0x88);
const no = u8(0x89);
function int(value) {
  const big = BigInt(value);
  if (big >= 0n && big < 256n) return join_('K', u8(Number(big)));
  const raw = Buffer.from(
    BigUint64Array.of(BigInt.asUintN(64, big), big < 0n ? 0xffffffffffffffffn : big >> 64n).buffer,
  );
  return join_(u8(0x8a), u8(16), raw);
}
const pickle = (...body) => join_(PROTO, ...body, STOP);

const HOOKS = call(global('collections', 'OrderedDict'));
const storage = ({ key = '0', type = 'FloatStorage', count = 16 } = {}) =>
  join_(tuple(text('storage'), global('torch', type), text(key), text('cpu'), int(count)), 'Q');
const tensor = ({ offset = int(0), size = [int(4), int(4)], stride = [int(4), int(1)], ...rest } = {}) =>
  call(
    global('torch._utils', '_rebuild_tensor_v2'),
    storage(rest),
    offset,
    tuple(...size),
    tuple(...stride),
    no,
    HOOKS,
  );
const weights = (...more) => dict(text('w'), tensor(), ...more);

const DATA = Buffer.from(Float32Array.from({ length: 16 }, (_, i) => i / 8).buffer);
function entries(body, data = DATA) {
  return [
    { name: 'archive/data.pkl', data: pickle(body) },
    { name: 'archive/data/0', data },
    { name: 'archive/version', data: Buffer.from('3\n') },
  ];
}
const zip = (body, options) => packZip(entries(body), options);
const extra = (...added) => packZip([...entries(weights()), ...added]);

// numpy arrays, as protocol 2 writes them.
const DTYPE = (code) =>
  join_(
    call(global('numpy', 'dtype'), text(code), no, yes),
    tuple(int(3), text('<'), none, none, none, int(-1), int(-1), int(0)),
    'b',
  );
const array = (shape, data, code = 'f4') =>
  join_(
    call(
      global('numpy.core.multiarray', '_reconstruct'),
      global('numpy', 'ndarray'),
      tuple(int(0)),
      bytes(Buffer.from('b')),
    ),
    tuple(int(1), tuple(...shape), DTYPE(code), no, bytes(data)),
    'b',
  );

// Legacy files: magic number, protocol, system, value, keys, storages.
const MAGIC = join_(PROTO, u8(0x8a), u8(10), Buffer.from('6cfc9c46f9206aa85019', 'hex'), STOP);
const SYSTEM = pickle(dict(text('protocol_version'), join_('M', u16(1001)), text('little_endian'), yes));
const legacy = ({ protocol = 1001, system = SYSTEM, keys = [text('0')] } = {}) =>
  join_(
    MAGIC,
    pickle(join_('M', u16(protocol))),
    system,
    pickle(weights()),
    pickle(list(...keys)),
    u64(16),
    DATA,
  );

// safetensors: the header as text, so that it may be anything.
function safetensors(header, data = Buffer.alloc(16)) {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  return join_(u64(json.length), json, data);
}
const entry = (shape, begin, end, dtype = 'F32') => ({ dtype, shape, data_offsets: [begin, end] });

const endRecord = (archive) => archive.length - 22;
function edited(archive, change) {
  const copy = Buffer.from(archive);
  change(copy, copy.readUInt32LE(endRecord(copy) + 16));
  return copy;
}

/** An archive whose directory claims two million entries, in the records of zip64. */
function manyEntries() {
  const archive = zip(weights());
  const directory = archive.subarray(0, endRecord(archive));
  const [size, offset] = [
    archive.readUInt32LE(endRecord(archive) + 12),
    archive.readUInt32LE(endRecord(archive) + 16),
  ];
  const count = u64(2_000_000);
  const end64 = join_(
    u32(0x06064b50),
    u64(44),
    u16(45),
    u16(45),
    u32(0),
    u32(0),
    count,
    count,
    u64(size),
    u64(offset),
  );
  const locator = join_(u32(0x07064b50), u32(0), u64(directory.length), u32(1));
  const end = join_(
    u32(0x06054b50),
    u16(0),
    u16(0),
    u16(0xffff),
    u16(0xffff),
    u32(0xffffffff),
    u32(0xffffffff),
    u16(0),
  );
  return join_(directory, end64, locator, end);
}

function deflated(size, declared) {
  const list_ = entries(dict(text('w'), tensor({ count: declared })));
  list_[1].data = deflateRawSync(Buffer.alloc(size));
  return packZip(list_, {
    sum: () => 0,
    edit: (name) => (name.endsWith('data/0') ? { method: 8, size } : {}),
  });
}

const doubled = Array.from({ length: 30 }, (_, i) =>
  join_('(', 'h', u8(i), 'h', u8(i), 'l', 'q', u8(i + 1), '0'),
);
const nested = join_(...Array(300).fill(']'), ...Array(299).fill('a'));
const longText = text('x'.repeat(60_000));
const encodings = Array.from({ length: 1500 }, () =>
  join_('h', u8(0), 'h', u8(1), 'h', u8(2), u8(0x86), 'R', '0'),
);
const expanded = Array.from({ length: 17 }, (_, i) =>
  join_(text(`w${i}`), tensor({ size: [int(4 << 20)], stride: [int(0)] })),
);

const FILES = {
  'empty.pth': Buffer.alloc(0),
  'lfs-pointer.pth': Buffer.from(
    'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 15000000\n',
  ),
  'html.pth': Buffer.from('\n<!doctype html>\n<html><body>Sign in</body></html>\n'),
  'torchscript.pt': extra({ name: 'archive/constants.pkl', data: pickle(tuple()) }),
  'no-pickle.pth': packZip([{ name: 'readme.txt', data: Buffer.from('hello') }]),
  'format.pth': Buffer.from('\x89HDF\r\n\x1a\n and more', 'latin1'),

  'truncated.pkl': join_(PROTO, '}', '(', 'X', u32(40), 'cut here'),
  'crc.pth': edited(zip(weights()), (copy) =>
    copy.writeUInt8(copy.readUInt8(copy.indexOf(DATA) + 5) ^ 1, copy.indexOf(DATA) + 5),
  ),
  'inflate.pth': edited(deflated(64, 16), (copy) =>
    copy.fill(0xff, copy.indexOf('archive/data/0') + 14, copy.indexOf('archive/data/0') + 17),
  ),
  'bool.safetensors': safetensors({ flags: entry([16], 0, 16, 'BOOL') }, Buffer.alloc(16, 2)),
  'zip-no-directory.pth': zip(weights()).subarray(0, 400),

  'zip-record.pth': edited(zip(weights()), (copy) =>
    copy.writeUInt32LE(copy.readUInt32LE(endRecord(copy) + 12) - 1, endRecord(copy) + 12),
  ),
  'zip-entries.pth': manyEntries(),
  'zip-name.pth': extra({ name: 'archive/../../evil', data: Buffer.from('x') }),
  'zip-duplicate.pth': extra({ name: 'archive/data.pkl', data: pickle(weights()) }),
  'zip-range.pth': zip(weights(), {
    edit: (name) => (name.endsWith('data/0') ? { packed: 100_000, size: 100_000 } : {}),
  }),
  'zip-overlap.pth': edited(zip(weights()), (copy, at) => {
    // The first entry's size reaches into the second, in both of its headers.
    const size = copy.readUInt32LE(at + 20) + 8;
    for (const field of [18, 22, at + 20, at + 24]) copy.writeUInt32LE(size, field);
  }),
  'zip-local-header.pth': zip(weights(), {
    edit: (name) => (name.endsWith('data/0') ? { localName: 'archive/data/1' } : {}),
  }),
  'zip-method.pth': zip(weights(), { edit: () => ({ method: 14 }) }),
  'zip-encrypted.pth': zip(weights(), { edit: () => ({ flags: 1 }) }),
  'zip-roots.pth': extra({ name: 'other/data.pkl', data: pickle(weights()) }),
  'zip-bomb.pth': deflated(20 << 20, 16),

  'pickle-protocol.pkl': join_(u8(0x80), u8(6), '}', STOP),
  'pickle-opcode.pkl': pickle('}', '(', text('x'), u8(0x82), u8(1), 'u'),
  'pickle-no-stop.pkl': join_(PROTO, '}'),
  'pickle-length.pkl': join_(PROTO, 'X', u32(0x7fffffff), 'x'),
  'pickle-value.pkl': pickle('}', '(', text('x'), 'I12x\n', 'u'),
  'pickle-stack.pkl': pickle('R'),
  'pickle-memo.pkl': pickle('h', u8(5)),
  'pickle-type.pkl': pickle(int(1), int(2), 'a'),
  'pickle-persistent-id.pth': zip(dict(text('w'), join_(tuple(text('module'), text('x'), text('y')), 'Q'))),
  'pickle-limit.pkl': pickle(
    global('_codecs', 'encode'),
    'q',
    u8(0),
    '0',
    longText,
    'q',
    u8(1),
    '0',
    text('latin1'),
    'q',
    u8(2),
    '0',
    ...encodings,
    '}',
  ),
  'pickle-depth.pth': zip(weights(text('deep'), nested)),
  'pickle-cycle.pth': zip(join_('}', 'q', u8(0), '(', text('w'), tensor(), text('self'), 'h', u8(0), 'u')),
  'pickle-expansion.pth': zip(
    join_('N', 'q', u8(0), '0', ...doubled, weights(text('laughs'), join_('h', u8(30)))),
  ),
  'legacy-header.pth': legacy({ protocol: 1002 }),
  'no-state-dict.pkl': pickle(dict(text('epoch'), int(3))),

  'code-global.pkl': pickle(dict(text('x'), join_(global('os', 'system'), tuple(text('true')), 'R'))),
  'code-call.pth': zip(weights(text('x'), call(global('torch.hub', 'load'), text('owner/repository')))),

  'element-type.pth': zip(dict(text('w'), tensor({ type: 'ComplexFloatStorage', count: 8 }))),
  'tensor-arguments.pth': zip(
    dict(
      text('w'),
      call(
        global('torch._utils', '_rebuild_tensor_v2'),
        text('storage'),
        int(0),
        tuple(int(4)),
        tuple(int(1)),
      ),
    ),
  ),
  'storage-key.pth': zip(dict(text('w'), tensor({ key: '../data.pkl' }))),
  'storage-missing.pth': zip(dict(text('w'), tensor({ key: '7' }))),
  'storage-size.pth': zip(dict(text('w'), tensor({ count: 17 }))),
  'byte-order.pth': extra({ name: 'archive/byteorder', data: Buffer.from('middle') }),
  'rank.pth': zip(dict(text('w'), tensor({ stride: [int(1)] }))),
  'size.pth': zip(dict(text('w'), tensor({ size: [int(-1), int(4)] }))),
  'stride.pth': zip(dict(text('w'), tensor({ stride: [int(-4), int(1)], offset: int(12) }))),
  'offset.pth': zip(dict(text('w'), tensor({ offset: int(-4) }))),
  'overflow.pth': zip(
    dict(text('w'), tensor({ size: [int(2n ** 40n), int(2n ** 40n)], stride: [int(0), int(0)] })),
  ),
  'out-of-storage.pth': zip(dict(text('w'), tensor({ offset: int(1) }))),
  'expanded.pth': zip(dict(text('w'), tensor({ size: [int(2n ** 36n)], stride: [int(0)] }))),
  'total-size.pth': zip(dict(...expanded)),
  'numpy-data.pkl': pickle(
    dict(text('model'), dict(text('a'), array([int(1000), int(1000)], Buffer.alloc(16)))),
  ),

  'unknown-class.pth': zip(weights(text('net'), join_(global('project.models', 'Net'), ')', u8(0x81)))),
  'whole-model.pth': zip(join_(global('__main__', 'Net'), ')', u8(0x81), '}', 'b')),

  'safetensors-length.safetensors': join_(u64(10n ** 12n), '{"a":{}}'),
  'safetensors-json.safetensors': safetensors('{"a":{"dtype":"F32",', Buffer.alloc(0)),
  'safetensors-depth.safetensors': safetensors(
    `{"__metadata__":${'['.repeat(50)}${']'.repeat(50)}}`,
    Buffer.alloc(0),
  ),
  'safetensors-duplicate.safetensors': safetensors(
    `{"a":${JSON.stringify(entry([2], 0, 8))},"a":${JSON.stringify(entry([2], 8, 16))}}`,
  ),
  'safetensors-entry.safetensors': safetensors({ a: { dtype: 'F32', shape: [4] } }),
  'safetensors-metadata.safetensors': safetensors({ __metadata__: { epoch: 3 }, a: entry([4], 0, 16) }),
  'safetensors-dtype.safetensors': safetensors({ a: entry([4], 0, 16, 'Q4_K') }),
  'safetensors-shape.safetensors': safetensors({ a: entry([-2, -2], 0, 16) }),
  'safetensors-overflow.safetensors': safetensors({ a: entry([2 ** 32, 2 ** 31], 0, 16) }),
  'safetensors-offsets.safetensors': safetensors({ a: entry([4], 16, 0) }),
  'safetensors-size.safetensors': safetensors({ a: entry([3], 0, 16) }),
  'safetensors-overlap.safetensors': safetensors({ a: entry([3], 0, 12), b: entry([2], 8, 16) }),
  'safetensors-hole.safetensors': safetensors({ a: entry([1], 0, 4), b: entry([2], 8, 16) }),
};

mkdirSync(FOLDER, { recursive: true });
for (const name of readdirSync(FOLDER)) rmSync(join(FOLDER, name));
for (const [name, content] of Object.entries(FILES)) writeFileSync(join(FOLDER, name), content);
console.log(`${Object.keys(FILES).length} files in ${FOLDER}`);
