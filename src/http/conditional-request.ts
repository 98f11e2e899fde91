/** What tells one version of a file from another. */
export interface Validators {
  /** A strong entity tag, with its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** A time in HTTP has whole seconds. */
const toSeconds = (epochMs: number) => Math.floor(epochMs / 1_000);

/**
 * Whether the client's copy is still right, so that the answer is 304 (RFC 9110, 13.2.2): the entity
 * tag decides where the client sent one, the date otherwise.
 */
export function isNotModified(headers: Headers, { etag, lastModifiedMs }: Validators): boolean {
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) return listsEtag(ifNoneMatch, etag);
  const ifModifiedSinceMs = Date.parse(headers.get("if-modified-since") ?? "");
  return toSeconds(lastModifiedMs) <= toSeconds(ifModifiedSinceMs);
}

/**
 * Whether a Range header counts (RFC 9110, 13.1.5): only when the client's part is of this very
 * version, or it does not say which it has.
 */
export function isRangeApplicable(headers: Headers, { etag, lastModifiedMs }: Validators): boolean {
  const ifRange = headers.get("if-range")?.trim();
  if (ifRange === undefined) return true;
  // A weak tag never matches here, since it does not promise the same bytes.
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) return ifRange === etag;
  return toSeconds(lastModifiedMs) === toSeconds(Date.parse(ifRange));
}

/** Weak comparison (RFC 9110, 8.8.3.2), which is the one of If-None-Match. */
function listsEtag(list: string, etag: string): boolean {
  if (list.trim() === "*") return true;
  return list.split(",").some((item) => item.trim().replace(/^W\//, "") === etag);
}
