import { expect, test } from "bun:test";
import { parseRange, type RangeRequest } from "../../src/http/byte-range.ts";

const part = (fromByte: number, toByte: number): RangeRequest => ({
  kind: "part",
  range: { fromByte, toByte },
});

const cases: [header: string | null, expected: RangeRequest][] = [
  ["bytes=0-9", part(0, 9)],
  ["Bytes = 0 - 9", part(0, 9)],
  ["bytes=90-", part(90, 99)],
  ["bytes=90-1000", part(90, 99)],
  ["bytes=-10", part(90, 99)],
  ["bytes=-1000", part(0, 99)],
  ["bytes=100-", { kind: "unsatisfiable" }],
  ["bytes=-0", { kind: "unsatisfiable" }],
  [null, { kind: "whole" }],
  ["", { kind: "whole" }],
  ["bytes=", { kind: "whole" }],
  ["bytes=-", { kind: "whole" }],
  ["bytes=9-1", { kind: "whole" }],
  ["bytes=1-2,5-6", { kind: "whole" }],
  ["items=1-2", { kind: "whole" }],
];

test.each(cases)("of 100 bytes %p means %p", (header, expected) => {
  expect(parseRange(header, 100)).toEqual(expected);
});

test("an empty file has no part", () => {
  expect(parseRange("bytes=0-", 0)).toEqual({ kind: "unsatisfiable" });
  expect(parseRange("bytes=-1", 0)).toEqual({ kind: "unsatisfiable" });
});
