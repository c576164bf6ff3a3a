import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './places.mjs';

const DIST = process.env.FREQFUSION_DIST ?? join(ROOT, 'dist');
const RESULTS = join('bench', 'results');

/** What this runs on: lib/bench/environment.ts in a process of its own, so that this one loads no network. */
export function environment() {
  const code = `console.log(JSON.stringify(require(${JSON.stringify(join(DIST, 'bench', 'environment.js'))}).environment()))`;
  return JSON.parse(execFileSync(process.execPath, ['-e', code], { cwd: ROOT, encoding: 'utf8' }));
}

function describeEnvironment(env) {
  return createRequire(import.meta.url)(join(DIST, 'bench', 'environment.js')).describeEnvironment(env);
}

/** Three significant digits. */
function short(value) {
  if (value === undefined || value === null) return '';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)];
}

const percent = (share) => `${short(100 * share)} %`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/** What the load program found, as Markdown. */
export function describeLoad({ environment: env, settings, rows, autocannon, soak }) {
  const head = [
    'clients',
    'images/s',
    'p50 ms',
    'p95 ms',
    'p99 ms',
    '200',
    '429',
    'share of 429',
    'other',
    'wrong',
    'images a batch',
    'event loop p99 ms',
    'max',
    'RSS',
    'server cores',
    'generator cores',
  ];
  const others = ({ statuses, failures }) =>
    [
      ...Object.entries(statuses).filter(([status]) => status !== '200' && status !== '429'),
      ...Object.entries(failures),
    ]
      .map(([what, count]) => `${what}: ${count}`)
      .join(', ') || '0';
  const cells = (row) => [
    `${row.clients}${row.clients > 128 ? (row.patient ? ', as told by Retry-After' : ', at once again') : ''}`,
    short(row.throughput),
    ...[row.latency.p50, row.latency.p95, row.latency.p99].map(short),
    row.statuses[200] ?? 0,
    row.statuses[429] ?? 0,
    percent(row.refused),
    others(row),
    row.wrong,
    short(row.batch),
    short(row.eventLoop?.p99),
    short(row.eventLoop?.max),
    megabytes(row.rss),
    short(row.serverCores),
    short(row.generatorCores),
  ];
  const { throughput, connections, errors } = autocannon;
  return [
    '## Load',
    '',
    ...describeEnvironment(env),
    `POST /segment with the 24 sample pages of models/layout, answers as label PNGs; ${rows[0].seconds} s a row; settings ${JSON.stringify(settings)}`,
    '',
    ...table(head, rows.map(cells)),
    '',
    `autocannon, ${connections} connections: ${short(throughput)} images/s, ${errors} errors.`,
    ...(soak === undefined
      ? []
      : [
          '',
          `8 clients for ${soak.seconds} s: ${short(soak.throughput)} images/s, ${others(soak)} errors, ${soak.wrong} wrong answers. Resident memory after the first minute: ${soak.slope.toFixed(2)} MB a minute by least squares; most in the first half of that time ${soak.greatestOfHalves[0].toFixed(0)} MB, in the second ${soak.greatestOfHalves[1].toFixed(0)} MB.`,
        ]),
  ];
}

/** What the comparison found, as Markdown. */
export function describeComparison({ environment: env, versions, clients, seconds, rounds, contenders }) {
  const ours = contenders.find(({ name }) => name === 'ours');
  const head = [
    'server',
    'two cores as',
    'images/s',
    'freqfusion is',
    'p50 ms',
    'p99 ms',
    'RSS',
    'pixels alike',
  ];
  const cells = (each) => [
    each.label,
    each.way,
    short(each.throughput),
    ours === undefined || each === ours ? '' : `${(ours.throughput / each.throughput).toFixed(2)} x`,
    short(each.p50),
    short(each.p99),
    megabytes(each.rss),
    `${(100 * each.agreement).toFixed(3)} %`,
  ];
  return [
    '## Beside other servers',
    '',
    ...describeEnvironment(env),
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    `${clients} clients, ${rounds} rounds of ${seconds} s in turns, each with a fresh process; medians. Every contender runs the way of the two that was faster in its trial.`,
    '',
    ...table(head, contenders.map(cells)),
    '',
    ...contenders.map(
      ({ label, tried }) =>
        `- ${label}: ${tried.map((each) => `${each.way} ${short(each.throughput)}`).join('; ')} images/s`,
    ),
  ];
}

/** Adds a part to the results of today, and writes them anew. Returns the name of the Markdown file. */
export function save(part) {
  const base = join(RESULTS, `serve-${new Date().toISOString().slice(0, 10)}`);
  mkdirSync(join(ROOT, RESULTS), { recursive: true });
  const file = join(ROOT, `${base}.json`);
  const all = { ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}), ...part };
  writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
  const parts = [
    ...(all.load === undefined ? [] : [describeLoad(all.load)]),
    ...(all.comparison === undefined ? [] : [describeComparison(all.comparison)]),
  ];
  const text = [
    '# The server under load',
    '',
    'Made by `npm run bench:serve`.',
    ...parts.flatMap((each) => ['', ...each]),
  ];
  writeFileSync(join(ROOT, `${base}.md`), `${text.join('\n')}\n`);
  return `${base}.md`;
}
