import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** The value below which so many per cent of the sorted numbers lie. */
export function percentile(sorted, percent) {
  if (sorted.length === 0) return undefined;
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)];
}

/** p50, p95, p99 and the greatest of some milliseconds. */
export function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return {
    p50: percentile(sorted, 50),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    max: sorted.at(-1),
  };
}

function post(url, agent, body, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

function codeOf(body) {
  try {
    const { code, error, detail } = JSON.parse(body);
    return `${code ?? ''} ${error ?? detail ?? ''}`.trim();
  } catch {
    return String(body).slice(0, 100);
  }
}

/**
 * So many clients, each with a connection of its own that it keeps, send one page after the other for so many seconds.
 *
 * Not autocannon: every answer is compared with what it must be, latencies are those of the answers that are results,
 * and a patient client that got 429 waits as long as Retry-After says, as a client of a service does. An impatient one
 * asks again at once.
 *
 * @param check (page, body) -> whether the answer is right
 */
export async function runClients({ url, pages, clients, seconds, patient = true, check, query = '' }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  const target = new URL(`/segment${query}`, url);
  const result = {
    statuses: {},
    failures: {},
    errors: {},
    wrong: 0,
    times: [],
    refusedTimes: [],
    retryAfter: new Set(),
  };
  const count = (table, key) => {
    table[key] = (table[key] ?? 0) + 1;
  };
  const cpu = process.cpuUsage();
  const began = performance.now();
  const end = began + 1000 * seconds;
  let answeredInTime = 0;

  async function client(first) {
    for (let i = first; performance.now() < end; i += 1) {
      const page = pages[i % pages.length];
      const since = performance.now();
      try {
        const answer = await post(target, agent, page.body, {
          'content-type': 'image/png',
          'content-length': page.body.length,
          accept: 'image/png',
        });
        const now = performance.now();
        count(result.statuses, answer.status);
        if (answer.status !== 200 && answer.status !== 429) count(result.errors, codeOf(answer.body));
        if (answer.status === 200) {
          result.times.push(now - since);
          if (now <= end) answeredInTime += 1;
          if (!check(page, answer.body)) result.wrong += 1;
        } else if (answer.status === 429) {
          result.refusedTimes.push(now - since);
          const wait = Number(answer.headers['retry-after']);
          result.retryAfter.add(wait);
          // Not all at the same moment: between one and one and a half times what the server asked for.
          if (patient) await sleep(Math.min(1000 * wait * (1 + Math.random() / 2), Math.max(0, end - now)));
        }
      } catch (error) {
        count(result.failures, error.code ?? error.message);
        await sleep(100);
      }
    }
  }

  await Promise.all(Array.from({ length: clients }, (_, i) => client(i * 7)));
  const took = (performance.now() - began) / 1000;
  agent.destroy();
  const { user, system } = process.cpuUsage(cpu);
  const refused = result.statuses[429] ?? 0;
  const answers = Object.values(result.statuses).reduce((sum, each) => sum + each, 0);
  return {
    clients,
    seconds,
    patient,
    statuses: result.statuses,
    failures: result.failures,
    /** Codes, or texts, of answers that are neither results nor 429. */
    errors: result.errors,
    wrong: result.wrong,
    /** Results a second that came within the time; those after it belong to no second. */
    throughput: answeredInTime / seconds,
    latency: spread(result.times),
    refused: answers === 0 ? 0 : refused / answers,
    refusedLatency: spread(result.refusedTimes),
    retryAfter: [...result.retryAfter].sort((a, b) => a - b),
    /** Cores that this process took meanwhile. */
    generatorCores: (user + system) / 1e6 / took,
  };
}
