import { expect, test } from "bun:test";
import { contentDisposition, safeFileName } from "../../src/http/content-disposition.ts";

test.each([
  [["../../etc/passwd", "a\\b:c"], "_.._etc_passwd - a_b_c.mp4"],
  [["..", "."], "recording.mp4"],
  [[" x. ", "\u0000\n"], "x - _.mp4"],
  [["photo\u202Egpj"], "photo_gpj.mp4"],
  [["a".repeat(300)], `${"a".repeat(100)}.mp4`],
  [["🎥".repeat(300)], `${"🎥".repeat(50)}.mp4`],
  [["a".repeat(99), "👨🏽"], `${"a".repeat(99)}.mp4`],
  [["CON"], "_CON.mp4"],
  [["nul.tar.gz"], "_nul.tar.gz.mp4"],
  [["console"], "console.mp4"],
])("of %p a safe file name is made", (words, expected) => {
  expect(safeFileName(words, "mp4")).toBe(expected);
});

test("an ASCII name stands as it is", () => {
  expect(contentDisposition("inline", "a b.mp4")).toBe('inline; filename="a b.mp4"');
});

test("any other has a fallback in ASCII, and cannot leave its quotes", () => {
  expect(contentDisposition("attachment", `é"; x='*'.mp4`)).toBe(
    `attachment; filename="__; x='*'.mp4"; filename*=UTF-8''%C3%A9%22%3B%20x%3D%27%2A%27.mp4`,
  );
});
