#!/usr/bin/env node
// Fuzzes the checkpoint reader with mutated copies of the readable golden files.
//
//   node scripts/fuzz-checkpoint.mjs [--count 200000] [--seed 1] [--dist dist] [--goldens test/goldens/checkpoint]
//
// Each case is opened in memory, and everything in it is read: names, tensors, metadata, summary. A case fails when it
// throws anything but a CheckpointError of a listed code, takes over a second of processor time, or makes the process grow by 200 MB.
// The failing bytes are written beside the report. Exit status 1 when a case failed.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const require = createRequire(import.meta.url);
const ROOT = resolve(import.meta.dirname, '..');
const { generator, mutate, seedsOf } = require(join(ROOT, 'test/checkpoint/mutations.cjs'));

const MAX_MILLISECONDS = 1000;
const MAX_GROWTH = 200 * 2 ** 20;
const HANG_MILLISECONDS = 30_000;

/** The readable golden files. */
function loadFiles(folder) {
  const files = [];
  for (const name of readdirSync(folder).sort()) {
    const description = join(folder, name, 'case.json');
    if (name.startsWith('bad_') || !existsSync(description)) continue;
    const file = /"file":\s*"([^"]+)"/.exec(readFileSync(description, 'utf8'))[1];
    files.push({ name, bytes: readFileSync(join(folder, name, file)) });
  }
  return files;
}

function readEverything(Checkpoint, bytes) {
  const checkpoint = Checkpoint.fromBytes(bytes, { name: 'fuzz' });
  checkpoint.inspect();
  for (const entry of checkpoint.stateDict({ raw: true })) entry.bytes();
  checkpoint.stateDict();
  JSON.stringify(checkpoint.metadata, (_key, value) => (typeof value === 'bigint' ? String(value) : value));
  checkpoint.close();
  return checkpoint.format;
}

function fuzz({ count, seed, dist, goldens }) {
  const { Checkpoint } = require(join(dist, 'checkpoint', 'checkpoint.js'));
  const { categoryOf } = require(join(dist, 'checkpoint', 'codes.js'));
  const listed = (code) => categoryOf(code) !== undefined || code === 'ERR_CHECKPOINT_AMBIGUOUS';
  const files = loadFiles(goldens);
  if (files.length === 0) throw new Error(`no golden checkpoints in ${goldens}`);
  for (const { bytes } of files) readEverything(Checkpoint, bytes);
  const seeds = seedsOf(files);
  const random = generator(seed);
  const outcomes = {};
  const formats = {};
  const worst = { milliseconds: 0, name: '', growth: 0 };
  const failures = [];
  let base = 0;
  for (let i = 0; i < count; i++) {
    const index = i % seeds.length;
    const { name } = seeds[index];
    const { bytes, done } = mutate(random, seeds, index);
    if (i % 500 === 0) {
      base = memory();
      parentPort.postMessage({ at: i });
    }
    const start = process.cpuUsage();
    let outcome;
    try {
      outcome = 'accepted';
      const format = readEverything(Checkpoint, bytes);
      formats[format] = (formats[format] ?? 0) + 1;
    } catch (error) {
      outcome = listed(error?.code) ? error.code : `unlisted: ${error?.stack ?? error}`;
    }
    const milliseconds = process.cpuUsage(start).user / 1000;
    const growth = memory() - base;
    if (milliseconds > worst.milliseconds)
      Object.assign(worst, { milliseconds, name: `case ${i} of ${name}` });
    worst.growth = Math.max(worst.growth, growth);
    const key = outcome.startsWith('unlisted') ? 'unlisted' : outcome;
    outcomes[key] = (outcomes[key] ?? 0) + 1;
    if (key === 'unlisted' || milliseconds > MAX_MILLISECONDS || growth > MAX_GROWTH) {
      failures.push({ i, name, done, outcome, milliseconds, growth, bytes });
      if (failures.length >= 10) break;
    }
  }
  return { seeds: seeds.length, outcomes, formats, worst, failures };
}

function memory() {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function main() {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '200000' },
      seed: { type: 'string', default: '1' },
      dist: { type: 'string', default: join(ROOT, 'dist') },
      goldens: { type: 'string', default: join(ROOT, 'test', 'goldens', 'checkpoint') },
    },
  });
  const count = Number(values.count);
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) {
    console.error('expected integers for --count and --seed');
    process.exit(2);
  }
  const start = performance.now();
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { count, seed, dist: resolve(values.dist), goldens: resolve(values.goldens) },
  });
  let at = 0;
  let cpu = process.cpuUsage();
  // Processor time, not the clock: a machine that is busy with something else is no hang. 500 cases lie between two
  // messages, far below the limit, unless one of them does not end.
  const watchdog = setInterval(() => {
    if (process.cpuUsage(cpu).user / 1000 < HANG_MILLISECONDS) return;
    console.error(`hang: no case finished in ${HANG_MILLISECONDS} ms after case ${at} (seed ${seed})`);
    process.exit(1);
  }, 1000);
  const report = await new Promise((done, fail) => {
    worker.on('message', (message) => {
      cpu = process.cpuUsage();
      if (message.report !== undefined) {
        done(message.report);
        return;
      }
      at = message.at;
      if (process.stderr.isTTY) process.stderr.write(`\r${at} of ${count}`);
    });
    worker.on('error', fail);
  });
  clearInterval(watchdog);
  print(report, count, seed, (performance.now() - start) / 1000);
  process.exit(report.failures.length > 0 ? 1 : 0);
}

function print({ seeds, outcomes, formats, worst, failures }, count, seed, seconds) {
  console.log(`${count} mutations of ${seeds} files, seed ${seed}, ${seconds.toFixed(1)} s`);
  for (const [code, times] of Object.entries(outcomes).sort((a, b) => b[1] - a[1]))
    console.log(`${String(times).padStart(8)}  ${code}`);
  console.log(`accepted by format: ${JSON.stringify(formats)}`);
  console.log(
    `worst time ${worst.milliseconds.toFixed(1)} ms (${worst.name}), worst growth ${(worst.growth / 2 ** 20).toFixed(1)} MiB`,
  );
  for (const { bytes, ...failure } of failures) {
    const file = `fuzz-failure-${seed}-${failure.i}.bin`;
    writeFileSync(file, bytes);
    console.error(`FAILED ${file}: ${JSON.stringify(failure)}`);
  }
}

if (isMainThread) await main();
else parentPort.postMessage({ report: fuzz(workerData) });
