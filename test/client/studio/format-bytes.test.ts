import { expect, test } from "bun:test";
import { formatBytes } from "../../../client/studio/format-bytes.ts";

test.each([
  [0, "0 KB"],
  [1, "0 KB"],
  [400, "0.4 KB"],
  [9_949, "9.9 KB"],
  [9_950, "10 KB"],
  [999_499, "999 KB"],
  [999_500, "1 MB"],
  [1_940_000, "1.9 MB"],
  [225_000_000, "225 MB"],
  [1_500_000_000, "1.5 GB"],
  [7_000_000_000_000_000, "7000 TB"],
])("%p bytes read %p", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
