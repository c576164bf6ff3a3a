import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { loadModel, memoryStats } from '../../lib';
import type { InferenceServer } from '../../lib/server/server';

const PAGES = join(__dirname, '../../models/layout/val');

/** A sample page, and the bytes of the label PNG that the library itself makes of it. */
export interface Page {
  readonly body: Buffer;
  readonly labels: Buffer;
}

/** The first sample pages with their label PNGs, computed without a server. */
export async function samplePages(count: number): Promise<Page[]> {
  using model = await loadModel();
  const names = readdirSync(PAGES).filter((name) => /^page_\d+\.png$/.test(name));
  const pages: Page[] = [];
  for (const name of names.slice(0, count)) {
    const body = readFileSync(join(PAGES, name));
    const map = await model.segment(body);
    pages.push({ body, labels: await map.toLabelPng() });
  }
  return pages;
}

/** A page of 8 million pixels, which takes a good part of a second. */
export function slowPage({ body }: Page): Promise<Buffer> {
  return sharp(body).resize(2400, 3400, { fit: 'fill' }).jpeg().toBuffer();
}

/** An answer, or what became of the connection instead of one. */
export interface Answer {
  /** 0 where the connection ended without an answer. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** Code of the connection's error. */
  readonly failure?: string;
}

/** Sends a body on a connection of its own. Never rejects. */
export function post(
  url: string,
  body: Uint8Array,
  {
    path = '/segment?view=labels',
    headers = { 'content-type': 'image/png' },
    agent = false,
  }: { path?: string; headers?: http.OutgoingHttpHeaders; agent?: http.Agent | false } = {},
): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) =>
      resolve({ status: 0, headers: {}, body: Buffer.alloc(0), failure: error.code ?? error.message });
    const request = http.request(new URL(path, url), { method: 'POST', headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.on('error', fail);
    request.end(body);
  });
}

/** The members of an answer that is an error. */
export function errorOf(answer: Answer): { code: string; error: string; requestId: string } {
  return JSON.parse(answer.body.toString()) as { code: string; error: string; requestId: string };
}

/** Waits until a condition holds; throws after ten seconds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1000; i += 1) {
    if (await holds()) return;
    await sleep(10);
  }
  throw new Error(`expected within ten seconds: ${what}`);
}

/** Images that wait and run, and native tensors. */
export function held(server: InferenceServer) {
  const { waiting, bytes, inFlight } = server.models.get('layout').load;
  return { waiting, bytes, inFlight, tensors: memoryStats().liveTensors };
}

/** Waits until a server holds nothing of any request: as much as it held before. */
export async function untilIdle(server: InferenceServer, before: ReturnType<typeof held>): Promise<void> {
  await until(`${JSON.stringify(before)}, not ${JSON.stringify(held(server))}`, () => {
    const now = held(server);
    return Object.entries(before).every(([name, value]) => now[name as keyof typeof now] <= value);
  });
}
