/** What {@link element} sets. */
interface ElementSettings {
  readonly class?: string;
  /** Set as text, never as markup: names of recordings come from anyone. */
  readonly text?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly onClick?: (event: Event) => void;
}

/** Makes an element with its children. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  settings: ElementSettings = {},
  children: readonly Node[] = [],
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (settings.class !== undefined) made.className = settings.class;
  if (settings.text !== undefined) made.textContent = settings.text;
  for (const [name, value] of Object.entries(settings.attributes ?? {})) {
    made.setAttribute(name, value);
  }
  if (settings.onClick) made.addEventListener("click", settings.onClick);
  made.append(...children);
  return made;
}

/**
 * The element of the page with this ID.
 *
 * @throws {TypeError} when there is none of that class: page and script do not fit.
 */
export function requireElement<Class extends Element>(
  id: string,
  expected: abstract new () => Class,
): Class {
  const found = document.getElementById(id);
  if (found instanceof expected) return found;
  throw new TypeError(`The page has no ${expected.name} with the id ${JSON.stringify(id)}.`);
}

/** Sets an element's text if it differs, so that a screen reader is told of changes alone. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
