/**
 * Seeded mutations of checkpoint files, shared by the fuzz test and scripts/fuzz-checkpoint.mjs.
 * Plain CommonJS, so that both load it without a build.
 */

const { crc32, inflateRawSync } = require('node:zlib');

/** A small generator with a state of 32 bits (mulberry32): the same seed gives the same files everywhere. */
function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { next, below: (limit) => (limit <= 0 ? 0 : next() % limit) };
}

const EDGES = [0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn];
const WIDE_EDGES = [
  ...EDGES,
  1n << 40n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** Writes an integer of 1 to 8 bytes over a random place, half the time one close to the file's own size. */
function editLength(random, bytes) {
  const width = [1, 2, 4, 8][random.below(4)];
  if (bytes.length < width) return bytes;
  const at = random.below(bytes.length - width + 1);
  const edges = width === 8 ? WIDE_EDGES : EDGES;
  const near = BigInt(Math.max(0, bytes.length + random.below(65) - 32));
  const value = random.below(2) === 0 ? near : edges[random.below(edges.length)];
  for (let i = 0; i < width; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return bytes;
}

const KINDS = {
  flip(random, bytes) {
    const count = 1 + random.below(8);
    for (let i = 0; i < count && bytes.length > 0; i++)
      bytes[random.below(bytes.length)] ^= 1 << random.below(8);
    return bytes;
  },
  truncate: (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1)),
  splice(random, bytes, other) {
    const length = 1 + random.below(Math.min(64, other.length));
    const from = random.below(other.length - length + 1);
    const at = random.below(bytes.length + 1);
    const taken = random.below(2) === 0 ? length : 0;
    return Buffer.concat([
      bytes.subarray(0, at),
      other.subarray(from, from + length),
      bytes.subarray(at + taken),
    ]);
  },
  remove(random, bytes) {
    const at = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(32))]);
  },
  repeat(random, bytes) {
    const at = random.below(bytes.length);
    const part = bytes.subarray(at, at + 1 + random.below(48));
    return Buffer.concat([bytes.subarray(0, at), part, part, bytes.subarray(at + part.length)]);
  },
  length: editLength,
};

/** Mutates a copy of some bytes once to three times. Returns the new bytes and the names of what was done. */
function mutateBytes(random, original, others) {
  let bytes = Buffer.from(original);
  const names = Object.keys(KINDS);
  const done = [];
  for (let left = 1 + random.below(3); left > 0 && bytes.length > 0; left--) {
    const kind = names[random.below(names.length)];
    bytes = KINDS[kind](random, bytes, others[random.below(others.length)]);
    done.push(kind);
  }
  return { bytes: Buffer.from(bytes), done };
}

/** The entries of a zip archive, inflated. */
function unpackZip(archive) {
  const bytes = Buffer.from(archive);
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const entries = [];
  let at = bytes.readUInt32LE(end + 16);
  for (let count = bytes.readUInt16LE(end + 10); count > 0; count--) {
    const name = bytes.toString('latin1', at + 46, at + 46 + bytes.readUInt16LE(at + 28));
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const data = bytes.subarray(start, start + bytes.readUInt32LE(at + 20));
    entries.push({ name, data: bytes.readUInt16LE(at + 10) === 8 ? inflateRawSync(data) : data });
    at += 46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return entries;
}

/**
 * Packs entries {name, data} as a zip archive of stored entries. `sum` gives the CRC-32 of an entry's data; 0 for all
 * makes an archive without checksums, as torch.serialization.set_crc32_options(False) does. `edit` may change the
 * fields of an entry's headers: {method, flags, size, packed, crc, start, localName}.
 */
function packZip(entries, { sum = crc32, edit = () => ({}) } = {}) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name, data } of entries) {
    const plain = {
      method: 0,
      flags: 0,
      size: data.length,
      packed: data.length,
      crc: sum(data),
      start: at,
      localName: name,
    };
    const fields = { ...plain, ...edit(name, plain) };
    const [label, localLabel] = [Buffer.from(name, 'utf8'), Buffer.from(fields.localName, 'utf8')];
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(20, 4);
    writeCommon(local, 6, fields);
    local.writeUInt16LE(localLabel.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    central.writeUInt16LE(20, 4);
    central.writeUInt16LE(20, 6);
    writeCommon(central, 8, fields);
    central.writeUInt16LE(label.length, 28);
    central.writeUInt32LE(fields.start, 42);
    parts.push(local, localLabel, data);
    directory.push(central, label);
    at += local.length + localLabel.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

function writeCommon(header, at, { flags, method, crc, packed, size }) {
  header.writeUInt16LE(flags, at);
  header.writeUInt16LE(method, at + 2);
  header.writeUInt32LE(crc, at + 8);
  header.writeUInt32LE(packed, at + 12);
  header.writeUInt32LE(size, at + 16);
}

/** The starting points of a fuzzing run: each file as it is, and each zip archive by its entries as well. */
function seedsOf(files) {
  const seeds = files.map(({ name, bytes }) => ({ name, bytes }));
  for (const { name, bytes } of files) {
    if (bytes.subarray(0, 2).toString('latin1') === 'PK')
      seeds.push({ name: `${name}, its pickle`, entries: unpackZip(bytes) });
  }
  return seeds;
}

/** One mutated file. In a seed of entries the pickle alone is mutated, and the archive around it is sound. */
function mutate(random, seeds, index) {
  const seed = seeds[index];
  const others = seeds.filter(({ bytes }) => bytes !== undefined).map(({ bytes }) => bytes);
  if (seed.entries === undefined) return mutateBytes(random, seed.bytes, others);
  const which = seed.entries.findIndex(({ name }) => name.endsWith('data.pkl'));
  const { bytes, done } = mutateBytes(random, seed.entries[which].data, others);
  return {
    bytes: packZip(seed.entries.with(which, { ...seed.entries[which], data: bytes }), { sum: () => 0 }),
    done,
  };
}

module.exports = { generator, mutate, packZip, seedsOf, unpackZip };
