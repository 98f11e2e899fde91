import { expect, test } from "bun:test";
import { isNotModified, isRangeApplicable } from "../../src/http/conditional-request.ts";
import { PreconditionFailedError } from "../../src/http/request-errors.ts";

const BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER = "Sun, 06 Nov 1994 08:49:38 GMT";

const VALIDATORS = { etag: '"now"', lastModifiedMs: Date.UTC(1994, 10, 6, 8, 49, 37, 987) };

/** The status that a request with these headers gets: 200, 304 or 412. */
function statusFor(headers: Record<string, string>): number {
  try {
    return isNotModified(new Headers(headers), VALIDATORS) ? 304 : 200;
  } catch (error) {
    expect(error).toBeInstanceOf(PreconditionFailedError);
    return 412;
  }
}

test.each<[number, Record<string, string>]>([
  [200, {}],
  [200, { "if-match": '"now"' }],
  [200, { "if-match": '"old", "now"' }],
  [200, { "if-match": '"a,b","now"' }],
  [200, { "if-match": "*" }],
  [412, { "if-match": '"old"' }],
  [412, { "if-match": '"old", W/"now"' }],
  [412, { "if-match": 'W/"now"' }],
  [412, { "if-match": "now" }],
  [412, { "if-match": "" }],
  [200, { "if-unmodified-since": MODIFIED }],
  [200, { "if-unmodified-since": AFTER }],
  [412, { "if-unmodified-since": BEFORE }],
  [200, { "if-unmodified-since": "some day" }],
  [304, { "if-none-match": '"now"' }],
  [304, { "if-none-match": 'W/"old", W/"now"' }],
  [304, { "if-none-match": "*" }],
  [200, { "if-none-match": '"old"' }],
  [304, { "if-modified-since": MODIFIED }],
  [200, { "if-modified-since": BEFORE }],
  [200, { "if-modified-since": "some day" }],
  // If-Match before the date, and both before those of a cache.
  [200, { "if-match": '"now"', "if-unmodified-since": BEFORE }],
  [412, { "if-match": '"old"', "if-unmodified-since": AFTER }],
  [412, { "if-match": '"old"', "if-none-match": '"now"' }],
  [412, { "if-unmodified-since": BEFORE, "if-modified-since": AFTER }],
  [304, { "if-match": '"now"', "if-none-match": '"now"' }],
  [304, { "if-unmodified-since": MODIFIED, "if-modified-since": MODIFIED }],
  // If-None-Match before the date.
  [200, { "if-none-match": '"old"', "if-modified-since": AFTER }],
  [304, { "if-none-match": '"now"', "if-modified-since": BEFORE }],
])("%i %j", (status, headers) => {
  expect(statusFor(headers)).toBe(status);
});

test.each<[boolean, string]>([
  [true, '"now"'],
  [true, MODIFIED],
  [false, '"old"'],
  [false, 'W/"now"'],
  [false, BEFORE],
  [false, AFTER],
  [false, "now"],
])("a range counts: %p, with If-Range: %s", (isApplicable, ifRange) => {
  expect(isRangeApplicable(new Headers({ "if-range": ifRange }), VALIDATORS)).toBe(isApplicable);
});
