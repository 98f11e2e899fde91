import { element } from "./element.ts";

/** A link that saves a file; the server gives it its name. */
export function downloadLink(path: string, text: string): HTMLAnchorElement {
  const link = element("a", { class: "button quiet", attributes: { href: path, download: "" } });
  link.innerHTML = '<svg class="icon" aria-hidden="true"><use href="#icon-download" /></svg>';
  link.append(element("span", { text }));
  return link;
}
