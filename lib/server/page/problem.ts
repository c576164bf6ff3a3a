import { FORMATS } from './file-check.js';

/** What the server answered where it did not answer well; status 0: it could not be reached. */
export interface Failure {
  readonly status: number;
  readonly code?: string;
  /** The server's own words. */
  readonly message?: string;
  /** Seconds, from Retry-After. */
  readonly retryAfter?: number;
}

/** A failure in plain words, and what can be done about it. */
export interface Problem {
  readonly title: string;
  readonly detail: string;
  /** Whether trying again can help. */
  readonly retry: boolean;
  /** Seconds to wait before that. */
  readonly wait: number;
}

/** Words a failure for a person who knows nothing of the server. */
export function problemOf({ status, code, message, retryAfter }: Failure): Problem {
  const wait = Math.min(600, Math.max(0, Math.ceil(retryAfter ?? 0)));
  const said = message === undefined ? '' : sentence(message);
  const tell = (title: string, detail: string, retry = false): Problem => ({
    title,
    detail,
    retry,
    wait: retry ? wait : 0,
  });
  if (status === 0) {
    return tell(
      'The server cannot be reached',
      'Check your connection and that the server is running, then try again.',
      true,
    );
  }
  if (status === 401 || status === 403) {
    return tell('This server needs a key', 'Enter the API key that its operator gave you.');
  }
  if (status === 413) {
    const what = code === 'ERR_IMAGE_TOO_LARGE' ? 'It has more pixels' : 'The file is larger';
    return tell(
      'The image is too big',
      `${what} than this server takes. Choose a smaller one, or scale it down first.`,
    );
  }
  if (status === 415) return tell('This file cannot be read', `Choose a ${FORMATS} image.`);
  if (status === 429) {
    return tell(
      'The server is busy',
      'Too many images are waiting. Your image was not lost: try again.',
      true,
    );
  }
  if (code === 'ERR_MODEL_NOT_READY') {
    return tell('The model is not ready yet', 'It is still being loaded. Try again in a moment.', true);
  }
  if (code === 'ERR_SHUTTING_DOWN') {
    return tell('The server is restarting', 'Try again in a moment.', true);
  }
  if (status === 503) return tell('The server has no room', 'It is short of memory. Try again soon.', true);
  if (status === 504 || status === 408) {
    return tell('It took too long', 'The server gave up before the image was done. Try again.', true);
  }
  if (status === 404) return tell('The server does not know this', said || 'Reload the page.', true);
  if (code === 'ERR_IMAGE_READ') {
    return tell('The image is damaged', 'It is cut short or broken. Choose another copy of it.');
  }
  if (status >= 500) {
    return tell('Something went wrong on the server', said || 'Its log says more. Try again.', true);
  }
  return tell('The server did not take the image', said || `It answered with status ${status}.`);
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
