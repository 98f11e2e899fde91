import { parseHttpDate } from "./http-date.ts";
import { PreconditionFailedError } from "./request-errors.ts";

/** What tells one version of a file from another. */
export interface Validators {
  /** A strong entity tag, with its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** Entity tags of a list; a comma may be a part of one (RFC 9110, 8.8.3). */
const ENTITY_TAGS = /(?:W\/)?"[^"]*"/g;

/**
 * Checks the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2. Gives whether the client's
 * copy is still right, so that the answer is 304.
 *
 * @throws PreconditionFailedError if the request is for another version of the file
 */
export function isNotModified(headers: Headers, validators: Validators): boolean {
  refuseOtherVersion(headers, validators);
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null) return listsWeakly(ifNoneMatch, validators.etag);
  const sinceSeconds = dateOf(headers, "if-modified-since");
  return sinceSeconds !== undefined && modifiedSeconds(validators) <= sinceSeconds;
}

/** If-Match decides where the client sent one, the date otherwise. */
function refuseOtherVersion(headers: Headers, validators: Validators): void {
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null) {
    if (!listsStrongly(ifMatch, validators.etag)) throw new PreconditionFailedError("If-Match");
    return;
  }
  const sinceSeconds = dateOf(headers, "if-unmodified-since");
  if (sinceSeconds !== undefined && modifiedSeconds(validators) > sinceSeconds) {
    throw new PreconditionFailedError("If-Unmodified-Since");
  }
}

/**
 * Whether a Range header counts (RFC 9110, 13.1.5): only when the client's part is of this very
 * version, or it does not say which it has.
 */
export function isRangeApplicable(headers: Headers, validators: Validators): boolean {
  const ifRange = headers.get("if-range");
  if (ifRange === null) return true;
  // A weak tag never matches here, since it does not promise the same bytes.
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) return ifRange === validators.etag;
  return dateOf(headers, "if-range") === modifiedSeconds(validators);
}

/** A time in HTTP has whole seconds. */
function modifiedSeconds({ lastModifiedMs }: Validators): number {
  return Math.floor(lastModifiedMs / 1_000);
}

/** Undefined also for what is no date, which counts as none. */
function dateOf(headers: Headers, name: string): number | undefined {
  return parseHttpDate(headers.get(name) ?? "", Date.now());
}

/** Strong comparison (RFC 9110, 8.8.3.2), which is the one of If-Match: weak tags match nothing. */
function listsStrongly(list: string, etag: string): boolean {
  return list === "*" || Array.from(list.matchAll(ENTITY_TAGS), ([tag]) => tag).includes(etag);
}

/** Weak comparison (RFC 9110, 8.8.3.2), which is the one of If-None-Match. */
function listsWeakly(list: string, etag: string): boolean {
  return listsStrongly(list.replaceAll('W/"', '"'), etag);
}
