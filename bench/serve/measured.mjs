import { setTimeout as sleep } from 'node:timers/promises';
import { runClients } from './clients.mjs';
import { freePort, ServerProcess } from './server-process.mjs';

/** Starts a server, waits until it is ready, hands it to `use`, and ends it whatever comes of that. */
export async function withServer(spec, use) {
  const port = await freePort();
  const server = new ServerProcess(spec(port), port);
  try {
    await server.ready();
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Runs clients against a server for some seconds that do not count, then for those that do. */
export async function measure(server, { warm, ...options }) {
  if (warm > 0) await runClients({ ...options, url: server.url, seconds: warm });
  await server.eventLoop();
  const batches = await batchSums(server.url);
  const [cpu, since] = [server.cpuSeconds(), performance.now()];
  const result = await runClients({ ...options, url: server.url });
  const cores = (server.cpuSeconds() - cpu) / ((performance.now() - since) / 1000);
  const after = await batchSums(server.url);
  const batch =
    batches === undefined || after === undefined || after.count === batches.count
      ? undefined
      : (after.sum - batches.sum) / (after.count - batches.count);
  return {
    ...result,
    serverCores: cores,
    batch,
    eventLoop: await server.eventLoop(),
    rss: server.residentBytes(),
  };
}

/** Sum and count of the batches so far, where the server tells them. */
async function batchSums(url) {
  const answer = await fetch(`${url}/metrics`);
  const text = await answer.text();
  if (!answer.ok) return undefined;
  const of = (name) =>
    [...text.matchAll(new RegExp(`^freqfusion_batch_images_${name}\\{[^}]*\\} (\\S+)$`, 'gm'))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    );
  return { sum: of('sum'), count: of('count') };
}

/** Clients for a long time, and what the server holds of memory meanwhile: bytes each second, and what they grow by. */
export async function soak(server, { seconds, ...options }) {
  const samples = [];
  let ended = false;
  const began = performance.now();
  const watching = (async () => {
    while (!ended) {
      samples.push({ seconds: (performance.now() - began) / 1000, bytes: server.residentBytes() });
      await sleep(1000);
    }
  })();
  const result = await runClients({ ...options, seconds, url: server.url });
  ended = true;
  await watching;
  const settled = samples.filter((each) => each.seconds >= Math.min(60, seconds / 2));
  const halves = [settled.slice(0, settled.length >> 1), settled.slice(settled.length >> 1)];
  return {
    ...result,
    samples: samples.filter((_, i) => i % Math.max(1, Math.round(seconds / 120)) === 0),
    /** Megabytes a minute, by least squares, after the first minute. */
    slope: (60 * slopeOf(settled)) / 1e6,
    greatestOfHalves: halves.map((half) => Math.max(...half.map(({ bytes }) => bytes)) / 1e6),
  };
}

function slopeOf(samples) {
  const mean = (of) => samples.reduce((sum, each) => sum + of(each), 0) / samples.length;
  const [x, y] = [mean((each) => each.seconds), mean((each) => each.bytes)];
  const above = mean((each) => (each.seconds - x) * (each.bytes - y));
  const below = mean((each) => (each.seconds - x) ** 2);
  return below === 0 ? 0 : above / below;
}

/** The middle one of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
