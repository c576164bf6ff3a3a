/** The element of an id. Throws Error where the page has none of that kind: page and script do not belong together. */
export function element<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`expected a ${kind.name} with the id ${id}`);
}

/** Makes an element with a class and content. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...content: (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.append(...content);
  return made;
}

/** A colour as CSS writes it. */
export function css([red, green, blue]: readonly [number, number, number]): string {
  return `rgb(${red} ${green} ${blue})`;
}

/** A square of a class's colour. */
export function swatch(color: readonly [number, number, number]): HTMLElement {
  const made = make('span', 'swatch');
  made.style.setProperty('--color', css(color));
  return made;
}
