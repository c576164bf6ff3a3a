import type { FastifyInstance } from 'fastify';

/** The routes of an app by path, to tell a wrong method from a wrong path. */
export class KnownRoutes {
  readonly #routes: { pattern: RegExp; methods: Set<string> }[] = [];

  /** Notes every route that is added to the app from now on. */
  constructor(app: FastifyInstance) {
    app.addHook('onRoute', ({ url, method }) => {
      // The answer to every preflight is no route of its own.
      if (url !== '*') this.#add(url, typeof method === 'string' ? [method] : method);
    });
  }

  /** Methods that a path without its query takes, sorted; none where there is nothing at it. */
  methodsAt(path: string): string[] {
    const found = this.#routes.filter(({ pattern }) => pattern.test(path));
    return [...new Set(found.flatMap(({ methods }) => [...methods]))].sort();
  }

  #add(url: string, methods: readonly string[]): void {
    const pattern = patternOf(url);
    const known = this.#routes.find((route) => route.pattern.source === pattern.source);
    if (known === undefined) this.#routes.push({ pattern, methods: new Set(methods) });
    else for (const method of methods) known.methods.add(method);
  }
}

/** `/v2/models/:model/infer` and `/page/*` as patterns of paths. */
function patternOf(url: string): RegExp {
  const parts = url.split(/(:\w+|\*)/).map((part) => {
    if (part === '*') return '.*';
    return part.startsWith(':') ? '[^/]+' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('').replace(/\/$/, '')}/?$`);
}
