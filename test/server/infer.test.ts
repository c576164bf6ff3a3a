import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { memoryStats } from '../../lib/device';
import { binaryRequest, image, infer, json, picture, type Reply, readReply } from './inference';
import { type Running, withServer } from './run';

const MODELS = [
  { name: 'layout', task: 'segment' },
  { name: 'shapes', task: 'detect' },
] as const;

/** A server with both bundled models. */
const serve = (work: (running: Running) => Promise<void>, options = {}) =>
  withServer({ logLevel: 'silent', ...options }, work, { models: MODELS });

/** Until nothing waits or runs, and as many tensors live as before. */
async function settled({ server }: Running, tensors: number): Promise<void> {
  for (const model of server.models.list()) {
    while (model.load.waiting + model.load.inFlight > 0) await delay(5);
  }
  for (let i = 0; i < 100 && memoryStats().liveTensors > tensors; i += 1) await delay(10);
  expect(memoryStats().liveTensors).toBeLessThanOrEqual(tensors);
}

describe('metadata', () => {
  test('of the server, its models and their tensors', async () => {
    await serve(async ({ url }) => {
      expect(await json(`${url}/v2`)).toEqual({
        name: 'freqfusion',
        version: expect.any(String),
        extensions: ['binary_tensor_data', 'schedule_policy'],
      });
      const { models } = await json(`${url}/v2/models`);
      expect(models).toMatchObject([
        { name: 'layout', version: '1', task: 'segment', state: 'ready', ready: true },
        { name: 'shapes', version: '1', task: 'detect', state: 'ready', ready: true },
      ]);
      expect(models[1].classes[0]).toEqual({ index: 0, name: 'circle', color: expect.any(Array) });
      const layout = await json(`${url}/v2/models/layout/versions/1`);
      expect(layout).toEqual(await json(`${url}/v2/models/layout`));
      expect(layout).toMatchObject({
        name: 'layout',
        versions: ['1'],
        inputs: [
          { name: 'image', datatype: 'UINT8', shape: [-1, -1, -1, 3] },
          { name: 'encoded_image', datatype: 'BYTES', shape: [-1] },
        ],
        outputs: [
          { name: 'labels', datatype: 'UINT8', shape: [-1, -1, -1] },
          { name: 'scores', datatype: 'FP32', shape: [-1, -1, -1] },
          { name: 'probabilities', datatype: 'FP32', shape: [-1, 5, -1, -1] },
          { name: 'logits', datatype: 'FP32', shape: [-1, 5, -1, -1] },
        ],
      });
      const ready = await fetch(`${url}/v2/models/shapes/ready`);
      expect([ready.status, await ready.json()]).toEqual([200, { name: 'shapes', ready: true }]);
    });
  });

  test('of a model that is not there, or not ready', async () => {
    await serve(async ({ url, server }) => {
      for (const path of ['/v2/models/layuot', '/v2/models/layuot/ready', '/v2/models/layout/versions/2']) {
        const { status, body } = await readReply(await fetch(url + path));
        expect([status, body.code]).toEqual([404, 'ERR_MODEL_UNKNOWN']);
      }
      await server.models.get('layout').unload();
      const ready = await fetch(`${url}/v2/models/layout/ready`);
      expect([ready.status, await ready.json()]).toEqual([503, { name: 'layout', ready: false }]);
      expect((await json(`${url}/v2/models`)).models[0]).toMatchObject({ ready: false, classes: [] });
      expect((await fetch(`${url}/v2/models/layout`)).status).toBe(503);
      expect((await infer(url, 'layout', binaryRequest(image()))).status).toBe(503);
    });
  });
});

describe('inference', () => {
  test('gives the labels of the model itself, whatever the form of request and answer', async () => {
    await serve(async ({ url, server }) => {
      const { pixels, width, height, file } = await picture();
      const want = await server.models.segmenter().model.segment(file);
      const shape = [1, height, width];
      const forms: Record<string, Promise<Reply>> = {
        binary: infer(url, 'layout', binaryRequest({ pixels, width, height }, { all: true })),
        'binary in, JSON out': infer(url, 'layout', binaryRequest({ pixels, width, height })),
        base64: infer(url, 'layout', {
          inputs: [{ name: 'encoded_image', datatype: 'BYTES', shape: [1], data: [file.toString('base64')] }],
        }),
        'base64 by name': infer(url, 'layout/versions/1', {
          inputs: [
            {
              name: 'encoded_image',
              datatype: 'BYTES',
              shape: [1],
              parameters: { content_type: 'base64' },
              data: [file.toString('base64')],
            },
          ],
        }),
        JSON: infer(url, 'layout', {
          inputs: [{ name: 'image', datatype: 'UINT8', shape: [...shape, 3], data: [...pixels] }],
        }),
        gzip: infer(url, 'layout', binaryRequest({ pixels, width, height }), {
          encode: gzipSync,
          headers: { 'content-encoding': 'gzip' },
        }),
      };
      for (const [form, answer] of Object.entries(forms)) {
        const { status, outputs } = await answer;
        expect([form, status, Object.keys(outputs)]).toEqual([form, 200, ['labels']]);
        expect([outputs.labels!.datatype, outputs.labels!.shape]).toEqual(['UINT8', shape]);
        expect(Buffer.from(want.labels).equals(Buffer.from(outputs.labels!.data as Uint8Array))).toBe(true);
      }
    });
  });

  test('gives the outputs that are asked for, binary or not, and the id', async () => {
    await serve(async ({ url, server }) => {
      const { file, width, height } = await picture();
      const want = await server.models.segmenter().model.segment(file, { outputs: ['scores', 'logits'] });
      const { body, outputs } = await infer(url, 'layout', {
        id: 'seven',
        inputs: [{ name: 'encoded_image', datatype: 'BYTES', shape: [1], data: [file.toString('base64')] }],
        outputs: [
          { name: 'logits', parameters: { binary_data: true } },
          { name: 'labels' },
          { name: 'scores', parameters: { binary_data: true } },
        ],
      });
      expect(body).toMatchObject({ id: 'seven', model_name: 'layout', model_version: '1' });
      expect(Object.keys(outputs)).toEqual(['logits', 'labels', 'scores']);
      expect(outputs.logits!.shape).toEqual([1, ...want.logits!.shape]);
      expect(outputs.logits!.data).toEqual(await want.logits!.data());
      expect(outputs.scores!.data).toEqual(want.scores);
      expect(outputs.labels!.data).toHaveLength(width * height);
      want.dispose();
    });
  });

  test('gives answers of many megabytes as it gives small ones, in JSON and in binary form', async () => {
    await serve(async ({ url }) => {
      const large = binaryRequest(image(700, 600), { all: true });
      const outputs = ['labels', 'probabilities', 'scores'].map((name) => ({ name }));
      const binary = await infer(url, 'layout', { ...large, outputs });
      const bytes = 700 * 600 * (1 + 4 * 5 + 4);
      const length = Number(binary.headers.get('content-length'));
      const head = Number(binary.headers.get('inference-header-content-length'));
      expect(length - head).toBe(bytes);
      const inJson = await infer(url, 'layout', { ...large, outputs, parameters: {} });
      for (const { name } of outputs) {
        expect(inJson.outputs[name]!.shape).toEqual(binary.outputs[name]!.shape);
        const numbers = Float32Array.from(inJson.outputs[name]!.data as number[]);
        const want = Float32Array.from(binary.outputs[name]!.data as Float32Array);
        expect(Buffer.from(numbers.buffer).equals(Buffer.from(want.buffer))).toBe(true);
      }
    });
  });

  test('gives detections in tensors, padded to the image that has the most', async () => {
    await serve(async ({ url, server }) => {
      const { file } = await picture();
      const blank = await sharp({ create: { width: 90, height: 70, channels: 3, background: 'white' } })
        .png()
        .toBuffer();
      const { detections } = await server.models.detector().model.detect(file);
      const { outputs } = await infer(url, 'shapes', {
        parameters: { binary_data_output: true },
        inputs: [
          {
            name: 'encoded_image',
            datatype: 'BYTES',
            shape: [2],
            data: [blank, file].map((each) => each.toString('base64')),
          },
        ],
      });
      const most = detections.length;
      const { num_detections: counts, boxes, scores, labels, masks } = outputs;
      expect(counts).toMatchObject({ shape: [2, 1], data: Int32Array.of(0, most) });
      expect(boxes).toMatchObject({ shape: [2, most, 4] });
      expect([...(boxes!.data as Float32Array)].slice(0, 4 * most)).toEqual(new Array(4 * most).fill(0));
      expect([...(boxes!.data as Float32Array)].slice(4 * most)).toEqual(
        detections.flatMap(({ box }) => box),
      );
      expect([...(scores!.data as Float32Array)].slice(most)).toEqual(detections.map(({ score }) => score));
      expect([...(labels!.data as BigInt64Array)]).toEqual([
        ...new Array(most).fill(-1n),
        ...detections.map(({ label }) => BigInt(label)),
      ]);
      const texts = (masks!.data as Uint8Array[]).map((each) => Buffer.from(each).toString());
      expect(texts.slice(0, most)).toEqual(new Array(most).fill(''));
      expect(texts.slice(most).map((each) => JSON.parse(each))).toEqual(
        detections.map(({ mask }) => mask!.toCoco()),
      );
      const few = await infer(url, 'shapes', {
        parameters: { max_detections: 2, score_threshold: '0.9' },
        inputs: [{ name: 'encoded_image', datatype: 'BYTES', shape: [1], data: [file.toString('base64')] }],
      });
      expect(few.outputs.scores).toMatchObject({ shape: [1, 2] });
    });
  });

  test('takes more images than may wait, and those of others between them', async () => {
    const models = [{ name: 'layout', task: 'segment', queue: { length: 3 } }] as const;
    await withServer(
      { logLevel: 'silent' },
      async ({ url }) => {
        const { status, outputs } = await infer(
          url,
          'layout',
          binaryRequest(image(24, 24, 40), { all: true }),
        );
        expect([status, outputs.labels!.shape]).toEqual([200, [40, 24, 24]]);
      },
      { models },
    );
  });
});

describe('what is left behind', () => {
  const ALL = [{ name: 'probabilities' }, { name: 'logits' }];

  test('is nothing after answers, errors in the middle of a request, and clients that went away', async () => {
    await serve(async (running) => {
      const { url } = running;
      const { file } = await picture();
      await infer(url, 'layout', { ...binaryRequest(image(32, 32, 3)), outputs: ALL });
      await settled(running, memoryStats().liveTensors);
      const tensors = memoryStats().liveTensors;
      await infer(url, 'layout', { ...binaryRequest(image(32, 32, 3)), outputs: ALL });
      await settled(running, tensors);

      const broken = file.subarray(0, 1000);
      const files = [file, file, file, broken, file, file].map((each) => each.toString('base64'));
      const input = { name: 'encoded_image', datatype: 'BYTES', shape: [files.length], data: files };
      const failed = await infer(url, 'layout', { inputs: [input], outputs: ALL });
      expect([failed.status, failed.body.code]).toEqual([400, 'ERR_IMAGE_READ']);
      await settled(running, tensors);

      const controller = new AbortController();
      const going = infer(
        url,
        'layout',
        { ...binaryRequest(image(256, 256, 20)), outputs: ALL },
        {
          signal: controller.signal,
        },
      );
      await delay(150);
      controller.abort();
      await expect(going).rejects.toThrow();
      await settled(running, tensors);

      const late = await infer(url, 'layout', {
        ...binaryRequest(image(256, 256, 20)),
        parameters: { timeout: 100_000 },
        outputs: ALL,
      });
      expect([late.status, late.body.code]).toEqual([504, 'ERR_DEADLINE']);
      await settled(running, tensors);
    });
  });
});
