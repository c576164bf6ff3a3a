import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { memoryStats } from '../../lib/device';
import { readBinary } from '../../lib/server/protocol/binary';
import { GrpcClient } from './grpc-client';
import { binaryRequest, image, infer, json, type Pixels, picture } from './inference';
import { type Running, withServer } from './run';

const KEY = 'a-key-of-some-length';

const MODELS = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
] as const;

/** A server with gRPC and both bundled models, and a client of it. */
const serve = (work: (client: GrpcClient, running: Running) => Promise<void>, options = {}) =>
  withServer(
    { logLevel: 'silent', grpcPort: 0, ...options },
    async (running) => {
      const client = new GrpcClient(running.grpcPort!);
      try {
        await work(client, running);
      } finally {
        client.close();
      }
    },
    { models: MODELS },
  );

/** A request with raw contents. */
function request({ pixels, width, height, count = 1 }: Pixels, members: object = {}) {
  return {
    model_name: 'layout',
    inputs: [{ name: 'image', datatype: 'UINT8', shape: [count, height, width, 3] }],
    raw_input_contents: [pixels],
    ...members,
  };
}

/** The status and the trailers of a call that must fail. */
async function failure(call: Promise<unknown>) {
  const error = await call.then(
    () => new Error('nothing failed'),
    (reason) => reason,
  );
  const trailer = (name: string) => error.metadata?.get(name)[0];
  return { status: status[error.code], code: trailer('freqfusion-code'), retryAfter: trailer('retry-after') };
}

describe('over gRPC', () => {
  test('metadata and readiness are those of REST', async () => {
    await serve(async (client, { url, server }) => {
      expect(await client.call('ServerLive')).toEqual({ live: true });
      expect(await client.call('ServerReady')).toEqual({ ready: true });
      expect(await client.call('ServerMetadata')).toEqual(await json(`${url}/v2`));
      for (const name of ['layout', 'shapes']) {
        const { parameters, ...rest } = await json(`${url}/v2/models/${name}`);
        expect(parameters).toBeDefined();
        expect(await client.call('ModelMetadata', { name })).toEqual(rest);
        expect(await client.call('ModelReady', { name, version: '1' })).toEqual({ ready: true });
      }
      await server.models.get('layout').unload();
      expect(await client.call('ModelReady', { name: 'layout' })).toEqual({ ready: false });
      expect(await failure(client.call('ModelInfer', request(image())))).toEqual({
        status: 'UNAVAILABLE',
        code: 'ERR_MODEL_NOT_READY',
        retryAfter: '5',
      });
      expect(await failure(client.call('ModelReady', { name: 'layuot' }))).toMatchObject({
        status: 'NOT_FOUND',
        code: 'ERR_MODEL_UNKNOWN',
      });
    });
  });

  test('raw and typed contents give the labels of REST', async () => {
    await serve(async (client, { url }) => {
      const small = image(40, 30, 2);
      const want = (await infer(url, 'layout', binaryRequest(small, { all: true }))).outputs.labels!;
      const raw = await client.call('ModelInfer', request(small, { id: 'seven' }));
      expect(raw).toMatchObject({ id: 'seven', model_name: 'layout', model_version: '1' });
      expect(raw.outputs).toMatchObject([{ name: 'labels', datatype: 'UINT8', shape: [2, 30, 40] }]);
      expect(Buffer.from(want.data as Uint8Array).equals(raw.raw_output_contents[0])).toBe(true);
      const typed = await client.call('ModelInfer', {
        model_name: 'layout',
        inputs: [
          {
            name: 'image',
            datatype: 'UINT8',
            shape: [2, 30, 40, 3],
            contents: { uint_contents: [...small.pixels] },
          },
        ],
        outputs: [{ name: 'scores' }, { name: 'labels' }],
      });
      expect(typed.outputs.map(({ name }: { name: string }) => name)).toEqual(['scores', 'labels']);
      expect(typed.raw_output_contents[1].equals(raw.raw_output_contents[0])).toBe(true);
      expect(typed.raw_output_contents[0]).toHaveLength(4 * 2 * 30 * 40);
    });
  });

  test('files in typed contents give the detections of the model itself', async () => {
    await serve(async (client, { server }) => {
      const { file } = await picture();
      const { detections } = await server.models.detector().model.detect(file, { scoreThreshold: 0.9 });
      const answer = await client.call('ModelInfer', {
        model_name: 'shapes',
        model_version: '1',
        inputs: [
          { name: 'encoded_image', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [file] } },
        ],
        parameters: {
          score_threshold: { double_param: 0.9 },
          priority: { uint64_param: 1 },
          timeout: { int64_param: 20_000_000 },
        },
      });
      const names = answer.outputs.map(({ name }: { name: string }) => name);
      expect(names).toEqual(['num_detections', 'boxes', 'scores', 'labels', 'masks']);
      const boxes = readBinary('FP32', 4 * detections.length, answer.raw_output_contents[1], 'boxes');
      expect([...(boxes as Float32Array)]).toEqual(detections.flatMap(({ box }) => box));
    });
  });

  test('errors have the statuses of gRPC', async () => {
    await serve(
      async (client) => {
        const good = request(image());
        const [input] = good.inputs;
        const refused: [string, object, string, string][] = [
          ['no contents', { raw_input_contents: [] }, 'INVALID_ARGUMENT', 'ERR_REQUEST_SHAPE'],
          [
            'too many raw contents',
            { raw_input_contents: [Buffer.alloc(0), Buffer.alloc(0)] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_SHAPE',
          ],
          [
            'too few bytes',
            { raw_input_contents: [Buffer.alloc(5)] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_SHAPE',
          ],
          [
            'both contents',
            { inputs: [{ ...input, contents: { uint_contents: [1] } }] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_TENSOR',
          ],
          [
            'contents of another field',
            { inputs: [{ ...input, contents: { int_contents: [1] } }], raw_input_contents: [] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_TENSOR',
          ],
          [
            'an element out of range',
            {
              inputs: [{ ...input, shape: [1, 1, 1, 3], contents: { uint_contents: [1, 256, 3] } }],
              raw_input_contents: [],
            },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_VALUE',
          ],
          ['floats', { inputs: [{ ...input, datatype: 'FP32' }] }, 'INVALID_ARGUMENT', 'ERR_REQUEST_TENSOR'],
          [
            'half floats in typed contents',
            { inputs: [{ ...input, datatype: 'FP16', contents: {} }], raw_input_contents: [] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_TENSOR',
          ],
          ['an unknown output', { outputs: [{ name: 'label' }] }, 'INVALID_ARGUMENT', 'ERR_REQUEST_TENSOR'],
          [
            'a parameter without a value',
            { parameters: { priority: {} } },
            'INVALID_ARGUMENT',
            'ERR_REQUEST',
          ],
          [
            'a priority that is none',
            { parameters: { priority: { string_param: 'urgent' } } },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_PARAMETER',
          ],
          [
            'shared memory',
            { inputs: [{ ...input, parameters: { shared_memory_region: { string_param: 'x' } } }] },
            'INVALID_ARGUMENT',
            'ERR_REQUEST_PARAMETER',
          ],
          ['an unknown model', { model_name: 'layuot' }, 'NOT_FOUND', 'ERR_MODEL_UNKNOWN'],
          ['an unknown version', { model_version: '2' }, 'NOT_FOUND', 'ERR_MODEL_UNKNOWN'],
        ];
        for (const [what, changes, name, code] of refused) {
          const told = await failure(client.call('ModelInfer', { ...good, ...changes }));
          expect([what, told.status, told.code]).toEqual([what, name, code]);
        }
        const large = await failure(client.call('ModelInfer', request(image(800, 600))));
        expect(large.status).toBe('RESOURCE_EXHAUSTED');
        expect((await client.call('ModelInfer', good)).outputs).toHaveLength(1);
      },
      { bodyLimit: 1_000_000 },
    );
  });

  test('bytes that are no message are refused as such, and change nothing', async () => {
    await serve(async (client) => {
      const good = client.bytesOf(request(image(8, 6)));
      let state = 7;
      const below = (most: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return Math.floor((state / 2 ** 32) * most);
      };
      const seen = new Set<string>();
      for (let i = 0; i < 200; i += 1) {
        const bytes = Buffer.from(good);
        bytes[below(i % 2 === 0 ? 60 : bytes.length)] = below(256);
        const sent = i % 5 === 0 ? bytes.subarray(0, below(bytes.length)) : bytes;
        const outcome = await client.inferBytes(sent, { deadline: 20_000 }).then(
          () => 'OK',
          (error) => status[error.code]!,
        );
        expect([i, outcome]).toEqual([i, expect.stringMatching(/^(OK|INVALID_ARGUMENT|NOT_FOUND)$/)]);
        seen.add(outcome);
      }
      expect([...seen].sort()).toEqual(['INVALID_ARGUMENT', 'NOT_FOUND', 'OK']);
      const bomb = Buffer.concat(new Array(100_000).fill(Buffer.from([0x2a, 0])));
      expect(await failure(client.inferBytes(bomb))).toMatchObject({
        status: 'INVALID_ARGUMENT',
        code: 'ERR_REQUEST',
      });
    });
  });

  test('a deadline that passes and a call that is cancelled give their places back', async () => {
    await serve(async (client, { server }) => {
      const model = server.models.segmenter();
      await client.call('ModelInfer', request(image(32, 32, 3)));
      const settled = async () => {
        while (model.load.waiting + model.load.inFlight > 0) await delay(5);
      };
      await settled();
      const tensors = memoryStats().liveTensors;
      const long = request(image(256, 256, 30), { outputs: [{ name: 'probabilities' }] });
      const late = await failure(client.call('ModelInfer', long, { deadline: 300 }));
      expect(late.status).toBe('DEADLINE_EXCEEDED');
      const limited = { ...long, parameters: { timeout: { int64_param: 200_000 } } };
      expect(await failure(client.call('ModelInfer', limited))).toMatchObject({
        status: 'DEADLINE_EXCEEDED',
        code: 'ERR_DEADLINE',
      });
      const controller = new AbortController();
      const going = failure(client.call('ModelInfer', long, { signal: controller.signal }));
      while (model.load.inFlight === 0) await delay(5);
      controller.abort();
      expect((await going).status).toBe('CANCELLED');
      await settled();
      for (let i = 0; i < 100 && memoryStats().liveTensors > tensors; i += 1) await delay(10);
      expect(memoryStats().liveTensors).toBeLessThanOrEqual(tensors);
    });
  });

  test('keys are asked for as over HTTP, but not for health', async () => {
    await serve(
      async (client) => {
        const good = request(image());
        const unauthenticated = { status: 'UNAUTHENTICATED', code: 'ERR_UNAUTHORIZED' };
        expect(await failure(client.call('ModelInfer', good))).toMatchObject(unauthenticated);
        expect(await failure(client.call('ServerMetadata'))).toMatchObject(unauthenticated);
        const wrong = { headers: { authorization: 'Bearer another-key-of-some-length' } };
        expect(await failure(client.call('ModelInfer', good, wrong))).toMatchObject(unauthenticated);
        for (const headers of [{ authorization: `Bearer ${KEY}` }, { 'x-api-key': KEY }]) {
          expect((await client.call('ModelInfer', good, { headers })).outputs).toHaveLength(1);
        }
        expect(await client.call('ServerLive')).toEqual({ live: true });
        expect(await client.call('ServerReady')).toEqual({ ready: true });
      },
      { apiKeys: [KEY] },
    );
  });

  test('a shutdown answers what was taken, and the port is free afterwards', async () => {
    await serve(async (client, { server, grpcPort }) => {
      const model = server.models.segmenter();
      const going = client.call('ModelInfer', request(image(64, 64, 8)));
      while (model.load.inFlight === 0) await delay(2);
      await server.close({ timeout: 30_000, drainDelay: 0 });
      expect((await going).outputs[0].shape).toEqual([8, 64, 64]);
      expect((await failure(client.call('ServerLive'))).status).toBe('UNAVAILABLE');
      await withServer({ logLevel: 'silent', grpcPort: grpcPort! }, async (again) => {
        expect(again.grpcPort).toBe(grpcPort);
      });
    });
  });

  test('a shutdown without time tells what was taken that it is over', async () => {
    await serve(async (client, { server }) => {
      const model = server.models.segmenter();
      const going = failure(client.call('ModelInfer', request(image(256, 256, 40))));
      while (model.load.inFlight === 0) await delay(2);
      await server.close({ timeout: 0, drainDelay: 0 });
      expect(await going).toMatchObject({ status: 'UNAVAILABLE', code: 'ERR_SHUTTING_DOWN' });
    });
  });

  test('a port that is taken is an error of the start', async () => {
    await serve(async (_client, { grpcPort }) => {
      const second = withServer({ logLevel: 'silent', grpcPort: grpcPort! }, async () => {});
      await expect(second).rejects.toMatchObject({ code: 'ERR_LISTEN' });
    });
  });
});
