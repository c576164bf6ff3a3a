import type { FastifyRequest } from 'fastify';
import { ServerError } from '../errors';

/** One form of an answer: what `view` calls it, and its media type. */
export interface View<Name extends string = string> {
  readonly name: Name;
  readonly type: 'application/json' | 'image/png';
}

/** What POST /segment can answer, the default first. */
export const SEGMENT_VIEWS = [
  { name: 'rle', type: 'application/json' },
  { name: 'coco', type: 'application/json' },
  { name: 'labels', type: 'image/png' },
  { name: 'overlay', type: 'image/png' },
] as const satisfies readonly View[];

/** What POST /detect can answer, the default first; `panoptic` of panoptic models alone. */
export const DETECT_VIEWS = [
  { name: 'json', type: 'application/json' },
  { name: 'coco', type: 'application/json' },
  { name: 'overlay', type: 'image/png' },
  { name: 'panoptic', type: 'image/png' },
] as const satisfies readonly View[];

/**
 * Chooses the form of an answer: the one that `asked` (the query's `view`) names, whatever the Accept header says;
 * otherwise the one that Accept likes best, where `image/png;view=overlay` names a view and `image/png` or `*` leave
 * the choice to the order of `views`. Throws ServerError ERR_NOT_ACCEPTABLE.
 */
export function chooseView<Name extends string>(
  request: Pick<FastifyRequest, 'headers' | 'accepts'>,
  views: readonly View<Name>[],
  asked: string | undefined,
): View<Name> {
  if (asked !== undefined) {
    const named = views.find(({ name }) => name === asked);
    if (named !== undefined) return named;
    const expected = `one of ${views.map(({ name }) => name).join(', ')}`;
    throw new ServerError(
      'ERR_NOT_ACCEPTABLE',
      `expected ${expected} for view, got ${JSON.stringify(asked)}`,
      {
        expected,
        actual: JSON.stringify(asked),
      },
    );
  }
  const offers = views.map(({ name, type }) => `${type};view=${name};charset=utf-8`);
  const best = request.accepts().type(offers);
  const index = typeof best === 'string' ? offers.indexOf(best) : -1;
  if (index >= 0) return views[index]!;
  const expected = `an Accept header that takes one of ${views.map(({ name, type }) => `${type};view=${name}`).join(', ')}`;
  throw new ServerError('ERR_NOT_ACCEPTABLE', `expected ${expected}`, {
    expected,
    actual: request.headers.accept,
  });
}
