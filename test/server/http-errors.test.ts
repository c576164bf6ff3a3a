import { CheckpointError, FreqFusionError, ImageError, OutOfMemoryError } from '../../lib/errors';
import { ServerError } from '../../lib/server/errors';
import { httpErrorOf, withoutPaths } from '../../lib/server/http-errors';

test.each([
  ['cannot open /data/models/a.pth: ENOENT', 'cannot open a.pth: ENOENT'],
  ["ENOENT: no such file, open '/data/my models/a.pth'", "ENOENT: no such file, open 'a.pth'"],
  ['"/srv/x y/config.json" is no JSON (/srv/b)', '"config.json" is no JSON (b)'],
  ['read /a/b, /c/d:3', 'read b, d:3'],
  ['an image/png of 3 / 4 at https://example.org/a/b', 'an image/png of 3 / 4 at https://example.org/a/b'],
])('%j is told as %j', (message, told) => {
  expect(withoutPaths(message)).toBe(told);
});

test('what comes from below loses its paths, what the server says keeps its URLs', () => {
  const below = new ImageError('ERR_IMAGE_READ', 'cannot read /tmp/x.png', { actual: '/tmp/x.png' });
  expect(httpErrorOf(below).body).toEqual({
    error: 'cannot read x.png',
    code: 'ERR_IMAGE_READ',
    actual: 'x.png',
  });
  const ours = new ServerError('ERR_NOT_FOUND', 'there is nothing at GET /a/b');
  expect(httpErrorOf(ours).body.error).toBe('there is nothing at GET /a/b');
  const load = new ServerError('ERR_MODEL_LOAD', 'model a cannot be loaded: no /data/a.pth');
  expect(httpErrorOf(load)).toMatchObject({
    status: 422,
    body: { error: expect.stringContaining('no a.pth') },
  });
});

test.each([
  ['ERR_QUEUE_FULL', 429],
  ['ERR_UNAUTHORIZED', 401],
  ['ERR_MODEL_UNKNOWN', 404],
  ['ERR_METHOD', 405],
  ['ERR_NOT_ACCEPTABLE', 406],
  ['ERR_IMAGE_TOO_LARGE', 413],
  ['ERR_IMAGE_FORMAT', 415],
  ['ERR_OVERLOADED', 503],
  ['ERR_MODEL_NOT_READY', 503],
  ['ERR_SHUTTING_DOWN', 503],
  ['ERR_DEADLINE', 504],
  ['ERR_SHAPE', 400],
] as const)('%s is answered with %i', (code, status) => {
  expect(httpErrorOf(new ServerError(code, 'x')).status).toBe(status);
});

test('memory that is short is a matter of time', () => {
  const error = new OutOfMemoryError('ERR_CUDA_OUT_OF_MEMORY', 'no memory');
  expect(httpErrorOf(error)).toMatchObject({ status: 503, retryAfter: 1 });
});

test.each([
  ['a fault of the program', new TypeError('x is undefined in /srv/app.js'), 'ERR_INTERNAL'],
  ['an error of libtorch', new FreqFusionError('ERR_TORCH', 'at /srv/native.cpp'), 'ERR_TORCH'],
  ['a damaged checkpoint', new CheckpointError('ERR_ZIP_BOMB', '/srv/a.pth'), 'ERR_ZIP_BOMB'],
  ['no error at all', 'thrown text', 'ERR_INTERNAL'],
])('%s is not told', (_, error, code) => {
  expect(httpErrorOf(error)).toEqual({
    status: 500,
    body: { error: 'internal error; the log of the server says more', code },
  });
});
