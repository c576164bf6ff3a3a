// `npm run bench:serve:compare`: the server beside the same model behind FastAPI with PyTorch, and behind
// onnxruntime-node. Every contender first shows which way of using two cores suits it; then all take turns.
//
//   --seconds 20  --warm 3  --rounds 5  --trial 10  --clients 64  --only ours,fastapi,onnx  --save
import { parseArgs } from 'node:util';
import { runClients } from './clients.mjs';
import { measure, median, withServer } from './measured.mjs';
import { agreement, labelsOf, samplePages } from './pages.mjs';
import { describeComparison, environment, save } from './report.mjs';
import { fastapiServer, freqfusionServer, onnxServer, versions } from './servers.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    warm: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '5' },
    trial: { type: 'string', default: '10' },
    clients: { type: 'string', default: '64' },
    only: { type: 'string', default: 'ours,fastapi,onnx' },
    save: { type: 'boolean', default: false },
  },
});
const [seconds, warm, rounds, trial, clients] = ['seconds', 'warm', 'rounds', 'trial', 'clients'].map(
  (name) => Number(values[name]),
);

/** Two cores, shared out in two ways. */
const CONTENDERS = {
  ours: {
    label: 'freqfusion serve',
    ways: {
      '1 process, 2 threads': freqfusionServer({ threads: 2 }),
      '2 processes, 1 thread each': freqfusionServer({ workers: 2, threads: 1 }),
    },
  },
  fastapi: {
    label: 'FastAPI, uvicorn, PyTorch eager',
    ways: {
      '1 process, 2 threads': fastapiServer({ workers: 1, threads: 2 }),
      '2 processes, 1 thread each': fastapiServer({ workers: 2, threads: 1 }),
    },
  },
  onnx: {
    label: 'fastify, onnxruntime-node',
    ways: {
      '1 image at once, 2 threads': onnxServer({ parallel: 1, threads: 2 }),
      '2 images at once, 1 thread each': onnxServer({ parallel: 2, threads: 1 }),
    },
  },
};

/** Sends every page once, and keeps the answers: the least agreement with the library's own labels. */
async function verify(server, pages) {
  const answers = new Map();
  let least = 1;
  for (const page of pages) {
    const { statuses, errors } = await runClients({
      url: server.url,
      pages: [page],
      clients: 1,
      seconds: 0.001,
      check: (_page, body) => answers.set(page.name, body) !== undefined,
    });
    if (statuses[200] !== 1)
      throw new Error(`${page.name} got ${JSON.stringify({ ...statuses, ...errors })}`);
    least = Math.min(least, agreement(await labelsOf(answers.get(page.name)), page.labels));
  }
  return { least, check: (page, body) => body.equals(answers.get(page.name)) };
}

async function turn(spec, pages, duration) {
  return withServer(spec, async (server) => {
    const { least, check } = await verify(server, pages);
    const row = await measure(server, { warm, pages, clients, seconds: duration, check });
    return { ...row, agreement: least };
  });
}

const pages = await samplePages();
const machine = environment();
const contenders = [];
for (const name of values.only.split(',')) {
  const { label, ways } = CONTENDERS[name];
  const tried = [];
  for (const [way, spec] of Object.entries(ways)) {
    console.error(`${label}, ${way}: trial`);
    const { throughput } = await turn(spec, pages, trial);
    tried.push({ way, spec, throughput });
  }
  const best = tried.reduce((a, b) => (b.throughput > a.throughput ? b : a));
  contenders.push({
    name,
    label,
    ...best,
    tried: tried.map(({ way, throughput }) => ({ way, throughput })),
    rows: [],
  });
}
for (let round = 0; round < rounds; round += 1) {
  for (const contender of contenders) {
    const row = await turn(contender.spec, pages, seconds);
    contender.rows.push(row);
    console.error(`round ${round + 1}: ${contender.label}: ${row.throughput.toFixed(1)} images/s`);
  }
}
const comparison = {
  environment: machine,
  versions: versions(),
  clients,
  seconds,
  rounds,
  contenders: contenders.map(({ name, label, way, tried, rows }) => ({
    name,
    label,
    way,
    tried,
    throughput: median(rows.map((row) => row.throughput)),
    p50: median(rows.map((row) => row.latency.p50)),
    p99: median(rows.map((row) => row.latency.p99)),
    rss: median(rows.map((row) => row.rss)),
    agreement: Math.min(...rows.map((row) => row.agreement)),
    rows,
  })),
};
console.log(describeComparison(comparison).join('\n'));
if (values.save) console.log(`\nSaved as ${save({ comparison })}`);
const failed = contenders.some(({ rows }) =>
  rows.some(
    ({ statuses, failures }) => Object.keys(statuses).join() !== '200' || Object.keys(failures).length > 0,
  ),
);
process.exitCode = failed ? 1 : 0;
