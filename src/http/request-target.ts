/**
 * The path of a request's URL. Null when it has none: Bun gives only the request target as the URL when
 * the Host header is missing or malformed, and CONNECT names no path at all.
 */
export function pathOf(requestUrl: string): string | null {
  if (!URL.canParse(requestUrl)) return null;
  const { protocol, pathname } = new URL(requestUrl);
  return protocol === "http:" || protocol === "https:" ? pathname : null;
}
