// The bundled layout model behind fastify and onnxruntime-node, as a team would write it that knows them well:
//
//   node bench/serve/onnx_server.mjs --port 8082 --model FILE.onnx --threads 2 --parallel 1
//
// POST /segment takes an encoded image as its body and answers with a PNG of labels. `--parallel` images go through the
// session at once, with `--threads` threads each.
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import fastify from 'fastify';
import sharp from 'sharp';
import { ONNX_FOLDER } from './places.mjs';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8082' },
    model: { type: 'string' },
    threads: { type: 'string', default: '2' },
    parallel: { type: 'string', default: '1' },
  },
});
// Not a dependency of the package: `npm run bench:setup` installs it into a folder of its own.
const { InferenceSession, Tensor } = createRequire(`${ONNX_FOLDER}/`)('onnxruntime-node');

const session = await InferenceSession.create(values.model, {
  executionProviders: ['cpu'],
  intraOpNumThreads: Number(values.threads),
  interOpNumThreads: 1,
  logSeverityLevel: 3,
});

/** Lets so many through at once, the others in the order of their arrival. */
class Gate {
  #free;
  #waiting = [];

  constructor(places) {
    this.#free = places;
  }

  async pass(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

const gate = new Gate(Number(values.parallel));
const LONGEST = 640;

async function segment(body) {
  const picture = sharp(body).removeAlpha().toColourspace('srgb');
  const { width, height } = await picture.metadata();
  const fitted =
    Math.max(width, height) === LONGEST ? picture : picture.resize(LONGEST, LONGEST, { fit: 'inside' });
  const { data, info } = await fitted.raw().toBuffer({ resolveWithObject: true });
  const image = new Tensor('uint8', data, [info.height, info.width, 3]);
  const { labels } = await gate.pass(() => session.run({ image }));
  const [rows, columns] = labels.dims;
  return sharp(labels.data, { raw: { width: columns, height: rows, channels: 1 } })
    .resize(width, height, { kernel: 'nearest', fit: 'fill' })
    .toColourspace('b-w')
    .png({ palette: false })
    .toBuffer();
}

for (let i = 0; i < 3; i += 1) {
  await session.run({ image: new Tensor('uint8', new Uint8Array(640 * 480 * 3), [640, 480, 3]) });
}
const app = fastify({ bodyLimit: 32 * 2 ** 20 });
app.addContentTypeParser(/^image\//, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.get('/v2/health/ready', async () => ({ ready: true }));
app.post('/segment', async (request, reply) => reply.type('image/png').send(await segment(request.body)));
await app.listen({ port: Number(values.port) });
