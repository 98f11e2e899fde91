import { expect, test } from "bun:test";
import { parseHttpDate } from "../../src/http/http-date.ts";

const NOW_MS = Date.UTC(2026, 10, 30);
const SECONDS = Date.UTC(1994, 10, 6, 8, 49, 37) / 1_000;

test.each([
  "Sun, 06 Nov 1994 08:49:37 GMT",
  "Sunday, 06-Nov-94 08:49:37 GMT",
  "Sun Nov  6 08:49:37 1994",
])("%s is read, whatever the time zone of this machine", (text) => {
  expect(parseHttpDate(text, NOW_MS)).toBe(SECONDS);
});

test("a year in two digits is not more than 50 years ahead", () => {
  expect(parseHttpDate("Friday, 06-Nov-76 00:00:00 GMT", NOW_MS)).toBe(
    Date.UTC(2076, 10, 6) / 1_000,
  );
  expect(parseHttpDate("Sunday, 06-Nov-77 00:00:00 GMT", NOW_MS)).toBe(
    Date.UTC(1977, 10, 6) / 1_000,
  );
});

test.each([
  "",
  "some day",
  "1",
  "1994-11-06T08:49:37Z",
  "Sun, 06 Nov 1994 08:49:37 UTC",
  "Sun, 06 Nov 1994 24:00:00 GMT",
  "Thu, 31 Feb 1994 08:49:37 GMT",
  "Sun, 06 Nem 1994 08:49:37 GMT",
  "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
])("%p is no date", (text) => {
  expect(parseHttpDate(text, NOW_MS)).toBeUndefined();
});
