import { ArgumentError, FreqFusionError } from '../../lib/errors';
import { checkInferRequest } from '../../lib/server/grpc/wire-limits';
import { readBinary, writeBinary } from '../../lib/server/protocol/binary';
import {
  checkDatatype,
  DATATYPES,
  type Datatype,
  elementsOf,
  type TensorData,
} from '../../lib/server/protocol/datatypes';
import { readJsonData, writeJsonData } from '../../lib/server/protocol/json-data';

/** Two elements of every datatype, its least and its greatest where it has them, and their bytes. */
const CASES: readonly (readonly [Datatype, TensorData, string])[] = [
  ['BOOL', Uint8Array.of(0, 1), '0001'],
  ['UINT8', Uint8Array.of(0, 255), '00ff'],
  ['UINT16', Uint16Array.of(1, 65_535), '0100ffff'],
  ['UINT32', Uint32Array.of(1, 4_294_967_295), '01000000ffffffff'],
  ['UINT64', BigUint64Array.of(1n, 2n ** 64n - 1n), '0100000000000000ffffffffffffffff'],
  ['INT8', Int8Array.of(-128, 127), '807f'],
  ['INT16', Int16Array.of(-2, 32_767), 'feffff7f'],
  ['INT32', Int32Array.of(-2, 2_147_483_647), 'feffffffffffff7f'],
  ['INT64', BigInt64Array.of(-2n, 2n ** 63n - 1n), 'feffffffffffffffffffffffffffff7f'],
  ['FP16', Uint16Array.of(0x3c00, 0xfc00), '003c00fc'],
  ['BF16', Uint16Array.of(0x3f80, 0xff80), '803f80ff'],
  ['FP32', Float32Array.of(1, -0.5), '0000803f000000bf'],
  ['FP64', Float64Array.of(1, -0.5), '000000000000f03f000000000000e0bf'],
  ['BYTES', [Buffer.from('a'), Buffer.from('')], '010000006100000000'],
];

const hex = (text: string) => Buffer.from(text, 'hex');

function refusal(call: () => unknown): { code: string; expected: string | undefined } {
  try {
    call();
  } catch (error) {
    if (error instanceof FreqFusionError) return { code: error.code, expected: error.expected };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('binary tensor data', () => {
  test('every datatype has a case', () => {
    expect(CASES.map(([datatype]) => datatype).sort()).toEqual([...DATATYPES].sort());
  });

  test.each(CASES)('%s goes there and back', (datatype, data, bytes) => {
    expect(writeBinary({ data }).toString('hex')).toBe(bytes);
    // At an odd offset, as behind a header of any length.
    const body = Buffer.concat([Buffer.from('x'), hex(bytes)]).subarray(1);
    const read = readBinary(datatype, 2, body, 't');
    if (datatype === 'BYTES') expect([...(read as Uint8Array[])].map(Buffer.from)).toEqual(data);
    else expect(writeBinary({ data: read }).toString('hex')).toBe(bytes);
    expect(read.constructor === Buffer ? Uint8Array : read.constructor).toBe(data.constructor);
  });

  test.each(CASES)('%s of another length is refused', (datatype, _data, bytes) => {
    for (const wrong of [hex(bytes).subarray(1), Buffer.concat([hex(bytes), Buffer.from('x')])]) {
      expect(refusal(() => readBinary(datatype, 2, wrong, 't')).code).toBe('ERR_REQUEST_SHAPE');
    }
    expect(refusal(() => readBinary(datatype, 3, hex(bytes), 't')).code).toBe('ERR_REQUEST_SHAPE');
  });

  test('a length prefix of 4 GB takes no memory', () => {
    expect(refusal(() => readBinary('BYTES', 1, hex('ffffffff61'), 't'))).toEqual({
      code: 'ERR_REQUEST_SHAPE',
      expected: 'element 0 of 4294967295 bytes behind its length',
    });
    expect(refusal(() => readBinary('BYTES', 2 ** 52, hex('00000000'), 't')).code).toBe('ERR_REQUEST_SHAPE');
  });
});

describe('tensor data in JSON', () => {
  const read = (datatype: Datatype, shape: number[], data: unknown, encoding: 'text' | 'base64' = 'text') =>
    readJsonData({ name: 't', datatype, shape, data }, elementsOf(shape, 't'), encoding);

  test('in a row and nested, it is the same', () => {
    const nested = [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [5, 6],
        [7, 8],
      ],
    ];
    const flat = [1, 2, 3, 4, 5, 6, 7, 8];
    for (const data of [nested, flat]) {
      expect(read('UINT8', [2, 2, 2], data)).toEqual(Uint8Array.from(flat));
    }
  });

  test.each([
    ['BOOL', [true, false], Uint8Array.of(1, 0)],
    ['INT64', [-1, 2 ** 52], BigInt64Array.of(-1n, 2n ** 52n)],
    ['UINT64', [0, 9], BigUint64Array.of(0n, 9n)],
    ['FP32', [0.5, -1e10], Float32Array.of(0.5, -1e10)],
  ] as const)('%s', (datatype, data, want) => {
    expect(read(datatype, [2], data)).toEqual(want);
  });

  test.each<[Datatype, unknown]>([
    ['UINT8', [256, 0]],
    ['UINT8', [0.5, 0]],
    ['UINT8', ['1', 0]],
    ['UINT8', [null, 0]],
    ['UINT8', [true, 0]],
    ['UINT64', [-1, 0]],
    ['INT8', [-129, 0]],
    ['INT64', [2 ** 60, 0]],
    ['BOOL', [1, 0]],
    ['FP32', [Number.POSITIVE_INFINITY, 0]],
    ['FP32', [Number.NaN, 0]],
    ['FP16', [1, 0]],
    ['BYTES', [1, 'a']],
  ])('%s cannot be %j', (datatype, data) => {
    expect(refusal(() => read(datatype, [2], data)).code).toBe('ERR_REQUEST_VALUE');
  });

  test.each<[number[], unknown]>([
    [[2], [1]],
    [[2], [1, 2, 3]],
    [[2], 5],
    [[2], { 0: 1, 1: 2 }],
    [[2], '12'],
    [
      [2, 2],
      [[1, 2], [3]],
    ],
    [
      [2, 2],
      [[1, 2], 3],
    ],
    [[2, 2], [[1, 2, 3, 4]]],
    [[1, 2 ** 40], [[1]]],
    [[2 ** 40], [1]],
    [[0], [1]],
  ])('a shape %j has no %j', (shape, data) => {
    expect(refusal(() => read('UINT8', shape, data)).code).toBe('ERR_REQUEST_SHAPE');
  });

  test('strings are text or base64, and nothing else', () => {
    expect(read('BYTES', [1], ['é'])).toEqual([Buffer.from('é')]);
    const bytes = Buffer.from([0, 255, 254, 1]);
    for (const end of [1, 2, 3, 4]) {
      const part = bytes.subarray(0, end);
      expect(read('BYTES', [1], [part.toString('base64')], 'base64')).toEqual([part]);
    }
    for (const wrong of ['%%%%', 'AA=A', 'AAAA\nAAAA', 'data:image/png;base64,AAAA']) {
      const told = () => refusal(() => read('BYTES', [1], [wrong], 'base64')).code;
      expect([wrong, told()]).toEqual([wrong, 'ERR_REQUEST_VALUE']);
    }
  });

  test.each<[Datatype, TensorData, string]>([
    ['BOOL', Uint8Array.of(0, 1), '[false,true]'],
    ['INT64', BigInt64Array.of(-(2n ** 63n)), '[-9223372036854775808]'],
    ['FP32', Float32Array.of(0.5, Number.NaN, Number.POSITIVE_INFINITY), '[0.5,null,null]'],
    ['BYTES', [Buffer.from('"é')], '["\\"é"]'],
    ['UINT8', new Uint8Array(), '[]'],
  ])('%s is written', (datatype, data, want) => {
    expect([...writeJsonData({ name: 't', datatype, shape: [data.length], data })].join('')).toBe(want);
  });

  test('much of it is written in pieces that are JSON together', () => {
    const data = Uint8Array.from({ length: 200_000 }, (_, i) => i);
    const pieces = [...writeJsonData({ name: 't', datatype: 'UINT8', shape: [200_000], data })];
    expect(pieces.length).toBeGreaterThan(4);
    expect(JSON.parse(pieces.join(''))).toEqual([...data]);
  });
});

describe('shapes and datatypes', () => {
  test('elements are counted', () => {
    expect(elementsOf([2, 3, 4], 't')).toBe(24);
    expect(elementsOf([], 't')).toBe(1);
    expect(elementsOf([5, 0], 't')).toBe(0);
  });

  test.each([
    [[-1]],
    [[1.5]],
    [[2 ** 53]],
    [[2 ** 27, 2 ** 27]],
    [['2']],
    [[null]],
    [[1, 1, 1, 1, 1, 1, 1, 1, 1]],
  ])('%j is no shape', (shape) => {
    expect(refusal(() => elementsOf(shape, 't')).code).toBe('ERR_REQUEST_SHAPE');
  });

  test.each(['uint8', 'FLOAT', '', 'toString', '__proto__', 7, null])('%j is no datatype', (datatype) => {
    expect(() => checkDatatype(datatype, 't')).toThrow(ArgumentError);
  });
});

describe('limits of a ModelInferRequest before it is decoded', () => {
  const field = (number: number, content: Buffer) => {
    const head = Buffer.from([8 * number + 2]);
    const length: number[] = [];
    for (let left = content.length; ; left = Math.floor(left / 128)) {
      length.push(left < 128 ? left : (left % 128) + 128);
      if (left < 128) break;
    }
    return Buffer.concat([head, Buffer.from(length), content]);
  };
  const input = (...parts: Buffer[]) => field(5, Buffer.concat(parts));

  test('a request with raw contents of any size passes', () => {
    const good = Buffer.concat([
      field(1, Buffer.from('layout')),
      field(3, Buffer.from('id')),
      input(
        field(1, Buffer.from('image')),
        field(2, Buffer.from('UINT8')),
        field(3, Buffer.from([1, 2, 2, 3])),
      ),
      field(6, field(1, Buffer.from('labels'))),
      field(7, Buffer.alloc(1_000_000)),
    ]);
    expect(() => checkInferRequest(good)).not.toThrow();
    expect(() => checkInferRequest(Buffer.alloc(0))).not.toThrow();
    expect(() => checkInferRequest(input(field(5, field(4, Buffer.alloc(1_000_000)))))).not.toThrow();
  });

  test.each<[string, Buffer]>([
    ['millions of inputs', Buffer.concat(new Array(100_000).fill(field(5, Buffer.alloc(0))))],
    ['millions of raw contents', Buffer.concat(new Array(100_000).fill(field(7, Buffer.alloc(0))))],
    ['millions of 64-bit elements', input(field(5, field(3, Buffer.alloc(100_000))))],
    ['millions of elements of BYTES', input(field(5, Buffer.alloc(200_000, Buffer.from([66, 0]))))],
    ['millions of parameters', Buffer.concat(new Array(1000).fill(field(4, Buffer.alloc(0))))],
    ['a name of a megabyte', field(1, Buffer.alloc(1_000_000))],
    ['groups', Buffer.alloc(100_000, 0x0b)],
    ['more bytes than there are', Buffer.from([58, 100, 1])],
    ['a length without an end', Buffer.from([58, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])],
    ['a tag without a value', Buffer.from([58])],
  ])('%s do not', (_what, bytes) => {
    expect(refusal(() => checkInferRequest(bytes)).code).toBe('ERR_REQUEST');
  });
});
