import type { Answer, ModelInfo, Sample, Settings } from './answer.js';
import type { Picture } from './picture.js';
import type { Failure } from './problem.js';

/** Where the API key stays until the tab is closed. */
const KEY = 'freqfusion-api-key';

/** The least score that is asked of a detector: the slider of the page goes on from there. */
export const LEAST_SCORE = 0.05;

/** Pixels of the largest image whose scores are asked for: they take memory on the server, class by class. */
const MOST_SCORES = 4_000_000;

/** A request that the server did not answer well, or not at all. */
export class RequestFailed extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message ?? `status ${failure.status}`);
    this.failure = failure;
  }
}

/** An answer with the text that it came as and how long it took from here. */
export interface Answered {
  readonly answer: Answer;
  readonly text: string;
  /** Milliseconds from sending the image to having the answer. */
  readonly roundTrip: number;
}

/** Keeps the key that the server is to be given. */
export function keepKey(key: string): void {
  sessionStorage.setItem(KEY, key);
}

// Paths are relative to the page: it works under any path that a proxy gives it.

/** The models of the server. Rejects with {@link RequestFailed}. */
export async function fetchModels(): Promise<readonly ModelInfo[]> {
  const { models } = (await getJson('v2/models')) as { models: ModelInfo[] };
  return models;
}

/** The bundled pictures. Rejects with {@link RequestFailed}. */
export async function fetchSamples(): Promise<readonly Sample[]> {
  const samples = (await getJson('samples')) as Sample[];
  return samples.map((sample) => ({ ...sample, url: `samples/${sample.name}` }));
}

/** What the server lets through. Rejects with {@link RequestFailed}. */
export async function fetchSettings(): Promise<Settings> {
  return (await getJson('page/settings.json')) as Settings;
}

/** The file of a sample. Rejects with {@link RequestFailed}. */
export async function fetchSample({ url, name }: Sample, signal: AbortSignal): Promise<File> {
  const response = await request(url, { signal });
  return new File([await response.blob()], name, { type: response.headers.get('content-type') ?? '' });
}

/** Sends an image to a model. Rejects with {@link RequestFailed}, and with AbortError where `signal` fires. */
export async function predict(
  { file: image, size }: Pick<Picture, 'file' | 'size'>,
  model: ModelInfo,
  signal: AbortSignal,
): Promise<Answered> {
  const query = new URLSearchParams({ model: model.name });
  if (model.task === 'detect') query.set('scoreThreshold', String(LEAST_SCORE));
  else if (size !== undefined && size.width * size.height <= MOST_SCORES) query.set('scores', 'true');
  const since = performance.now();
  const response = await request(`${model.task}?${query}`, {
    method: 'POST',
    body: image,
    headers: {
      accept: 'application/json',
      'content-type': image.type.startsWith('image/') ? image.type : 'application/octet-stream',
    },
    signal,
  });
  const text = await response.text();
  const roundTrip = performance.now() - since;
  return { answer: JSON.parse(text) as Answer, text, roundTrip };
}

async function getJson(url: string): Promise<unknown> {
  return (await request(url, { headers: { accept: 'application/json' } })).json();
}

async function request(url: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = sessionStorage.getItem(KEY);
  if (key !== null) headers.set('authorization', `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestFailed({ status: 0 });
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: string; code?: string };
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  throw new RequestFailed({
    status: response.status,
    ...(body.code !== undefined && { code: body.code }),
    ...(body.error !== undefined && { message: body.error }),
    ...(Number.isFinite(retryAfter) && { retryAfter }),
  });
}
