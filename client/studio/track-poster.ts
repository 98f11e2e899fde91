import { element } from "./element.ts";

/** A poster is made after its MP4: while it is not there, it is asked for this often. */
const RETRY_MS = 3_000;
const RETRIES_MAX = 20;

/** A track's picture; hidden until it is there, and for good when it never is. */
export function trackPoster(url: string): HTMLImageElement {
  // What it shows stands in words beside it.
  const image = element("img", {
    class: "track-poster",
    attributes: { alt: "", "data-testid": "poster" },
  });
  image.hidden = true;
  let retries = 0;
  image.addEventListener("load", () => {
    image.hidden = false;
  });
  image.addEventListener("error", () => {
    if (retries === RETRIES_MAX) return;
    retries += 1;
    setTimeout(() => {
      // The row may have been drawn anew, with a poster of its own.
      if (image.isConnected) image.src = url;
    }, RETRY_MS);
  });
  image.src = url;
  return image;
}
