// `npm run bench:serve`: how much load the server holds, and whether it stays as it is for ten minutes.
//
//   --seconds 60  --warm 5  --soak 600  --clients 1,8,64,256  --batch 8  --delay 2  --instances 2  --workers 1
//   --threads N  --save (bench/results/serve-DATE.json and .md)
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { measure, soak, withServer } from './measured.mjs';
import { samplePages } from './pages.mjs';
import { describeLoad, environment, save } from './report.mjs';
import { freqfusionServer } from './servers.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    warm: { type: 'string', default: '5' },
    soak: { type: 'string', default: '600' },
    clients: { type: 'string', default: '1,8,64,256' },
    batch: { type: 'string' },
    delay: { type: 'string' },
    instances: { type: 'string' },
    workers: { type: 'string', default: '1' },
    threads: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const [seconds, warm, soakSeconds] = [values.seconds, values.warm, values.soak].map(Number);
const batch = {
  ...(values.batch !== undefined && { size: Number(values.batch) }),
  ...(values.delay !== undefined && { delay: Number(values.delay) }),
};
const settings = {
  workers: Number(values.workers),
  ...(values.threads !== undefined && { threads: Number(values.threads) }),
  model: {
    ...(Object.keys(batch).length > 0 && { batch }),
    ...(values.instances !== undefined && { instances: Number(values.instances) }),
  },
};

/** The same by a tool of others: results a second, without looking at them. */
async function byAutocannon(url, pages, connections) {
  const headers = { 'content-type': 'image/png', accept: 'image/png' };
  const requests = pages.map(({ body }) => ({ method: 'POST', path: '/segment', headers, body }));
  const options = { url, connections, duration: Math.min(seconds, 20), timeout: 60, requests };
  const { statusCodeStats, duration, errors } = await autocannon(options);
  return { connections, throughput: (statusCodeStats['200']?.count ?? 0) / duration, errors };
}

const pages = await samplePages();
const check = (page, body) => body.equals(page.expected);
const machine = environment();
const spec = freqfusionServer(settings);
const rows = [];
const crowds = values.clients.split(',').map(Number);
for (const clients of crowds) {
  // Those that wait as they are told, and where that makes a difference those that do not.
  for (const patient of clients > 128 ? [true, false] : [true]) {
    console.error(`${clients} ${patient ? '' : 'impatient '}clients, ${seconds} s`);
    const row = await withServer(spec, (server) =>
      measure(server, { warm, pages, clients, seconds, patient, check }),
    );
    rows.push(row);
  }
}
console.error('autocannon');
const other = await withServer(spec, (server) =>
  byAutocannon(server.url, pages, Math.min(64, Math.max(...crowds))),
);
let long;
if (soakSeconds > 0) {
  console.error(`8 clients, ${soakSeconds} s`);
  long = await withServer(spec, (server) => soak(server, { pages, clients: 8, seconds: soakSeconds, check }));
}
const load = { environment: machine, settings, rows, autocannon: other, soak: long };
console.log(describeLoad(load).join('\n'));
if (values.save) console.log(`\nSaved as ${save({ load })}`);
const bad = [...rows, ...(long === undefined ? [] : [long])].filter(
  ({ statuses, failures, wrong }) =>
    wrong > 0 ||
    Object.keys(failures).length > 0 ||
    Object.keys(statuses).some((each) => !/^(200|429)$/.test(each)),
);
process.exitCode = bad.length === 0 ? 0 : 1;
