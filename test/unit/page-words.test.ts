import { pixelRefusal, refusal } from '../../lib/server/page/file-check';
import { problemOf } from '../../lib/server/page/problem';
import { bytes, counted, duration, percent } from '../../lib/server/page/words';

const limits = { bodyLimit: 1_000_000, maxPixels: 2_000_000 };
const head = (text: string) => Uint8Array.from(text.padEnd(16, '\0'), (letter) => letter.charCodeAt(0));
const file = (name: string, type = '', size = 1000) => ({ name, type, size });

describe('a file is refused before it is sent', () => {
  test.each([
    ['empty', file('a.png', 'image/png', 0), '', 'a.png is empty.'],
    [
      'a PDF',
      file('a.pdf', 'application/pdf'),
      '%PDF-1.7',
      'a.pdf is a PDF document. Choose a JPEG, PNG, WebP, AVIF, GIF or TIFF image.',
    ],
    ['a HEIC photo', file('a.heic', 'image/heic'), '\0\0\0\x18ftypheic', 'a.heic is a HEIC photo.'],
    [
      'text that is called an image',
      file('a.png', 'image/png'),
      'hello, this is te',
      'a.png is not an image.',
    ],
    ['a video', file('a.mp4', 'video/mp4'), '\0\0\0\x18ftypisom', 'a.mp4 is not an image.'],
    [
      'too large',
      file('a.png', 'image/png', 3_500_000),
      '\x89PNG',
      'a.png has 3.5 MB. This server takes images of up to 1 MB.',
    ],
  ])('where it is %s', (_name, given, start, message) => {
    expect(refusal(given, head(start), limits)?.replaceAll('\u00a0', ' ')).toContain(message);
  });

  test.each([
    ['a JPEG', file('a.jpg', 'image/jpeg'), '\xff\xd8\xff\xe0'],
    ['an AVIF', file('a.avif', 'image/avif'), '\0\0\0\x1cftypavif'],
    ['an image under a wrong name and type', file('a.txt', 'text/plain'), '\x89PNG\r\n\x1a\n'],
    ['bytes that say nothing, of no type', file('a', ''), '\x01\x02\x03'],
    ['bytes that say nothing, called an image', file('a.png', 'image/png'), '\x01\x02\x03'],
  ])('but not where it is %s', (_name, given, start) => {
    expect(refusal(given, head(start), limits)).toBeUndefined();
  });

  test('where it has too many pixels', () => {
    expect(pixelRefusal('a.png', { width: 2000, height: 1000 }, limits)).toBeUndefined();
    expect(pixelRefusal('a.png', { width: 2500, height: 1000 }, limits)).toBe(
      'a.png is 2500 × 1000, 2.5 million pixels. This server takes up to 2 million.',
    );
  });
});

describe('a failure in words', () => {
  test.each([
    [{ status: 0 }, 'The server cannot be reached', true, 0],
    [{ status: 401 }, 'This server needs a key', false, 0],
    [{ status: 413, code: 'ERR_IMAGE_TOO_LARGE' }, 'The image is too big', false, 0],
    [{ status: 415 }, 'This file cannot be read', false, 0],
    [{ status: 429, retryAfter: 2.4 }, 'The server is busy', true, 3],
    [{ status: 503, code: 'ERR_MODEL_NOT_READY', retryAfter: 5 }, 'The model is not ready yet', true, 5],
    [{ status: 503, code: 'ERR_SHUTTING_DOWN' }, 'The server is restarting', true, 0],
    [{ status: 503 }, 'The server has no room', true, 0],
    [{ status: 504 }, 'It took too long', true, 0],
    [{ status: 400, code: 'ERR_IMAGE_READ' }, 'The image is damaged', false, 0],
    [{ status: 500 }, 'Something went wrong on the server', true, 0],
    [{ status: 418 }, 'The server did not take the image', false, 0],
  ])('%j', (failure, title, retry, wait) => {
    expect(problemOf(failure)).toMatchObject({ title, retry, wait });
  });

  test("the server's own words stand where there are no better ones", () => {
    expect(problemOf({ status: 400, message: 'expected a model that does segment, got shapes' }).detail).toBe(
      'Expected a model that does segment, got shapes.',
    );
  });
});

test('numbers are short and keep their unit', () => {
  const said = [
    percent(0.972),
    percent(0.042),
    percent(0.0004),
    percent(0),
    duration(0.42),
    duration(84.2),
    duration(1260),
    bytes(999),
    bytes(640_400),
    bytes(33_554_432),
  ];
  expect(said.map((each) => each.replace('\u00a0', ' '))).toEqual([
    '97 %',
    '4.2 %',
    'under 0.1 %',
    '0 %',
    '0.4 ms',
    '84 ms',
    '1.3 s',
    '999 bytes',
    '640 kB',
    '33.6 MB',
  ]);
  expect([counted(1, 'object'), counted(3, 'object')]).toEqual(['1 object', '3 objects']);
});
