// Loaded into a server with --require: measures the delay of its event loop. On SIGUSR2 the process writes what it has
// seen since the last time to FREQFUSION_BENCH_PROBE/PID.json, and begins anew.
//
// prom-client's own gauge has a resolution of 10 ms, counts those 10 ms as delay, and is reset by whoever scrapes it;
// this one looks every millisecond, and takes that millisecond off.
const { renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { monitorEventLoopDelay } = require('node:perf_hooks');

const RESOLUTION = 1;
const folder = process.env.FREQFUSION_BENCH_PROBE;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
delay.enable();

function milliseconds(nanoseconds) {
  return Math.max(0, nanoseconds / 1e6 - RESOLUTION);
}

function write() {
  const file = join(folder, `${process.pid}.json`);
  const seen = {
    samples: delay.count,
    p50: milliseconds(delay.percentile(50)),
    p99: milliseconds(delay.percentile(99)),
    max: milliseconds(delay.max),
  };
  writeFileSync(
    `${file}.new`,
    JSON.stringify(delay.count === 0 ? { samples: 0, p50: 0, p99: 0, max: 0 } : seen),
  );
  renameSync(`${file}.new`, file);
  delay.reset();
}

if (folder !== undefined) {
  process.on('SIGUSR2', write);
  write();
}
