import { expect, test } from "bun:test";
import {
  decodeDescription,
  decodeEnd,
  decodeMarks,
  encodeMarks,
} from "../../src/storage/segment-frame.ts";

const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;

test.each(["", "{", "null", "7", deep, '{"chunkCount":"x","recordingId":7}'])(
  "a payload that is none of this version's is as good as absent: %.20s",
  (text) => {
    const payload = Buffer.from(text);
    expect(decodeDescription(payload)).toBeUndefined();
    expect(decodeEnd(payload)).toBeUndefined();
    expect(decodeMarks(payload)).toEqual([]);
  },
);

test("a mark that is not known takes none of the others along", () => {
  const marks = [{ type: "teleported", atMs: 1 }, null, { type: "paused", atMs: 2 }];
  expect(decodeMarks(Buffer.from(JSON.stringify(marks)))).toEqual([{ type: "paused", atMs: 2 }]);
});

test("the longest marks that the contract allows fit into the 16 bits of a chunk's header", () => {
  const mark = {
    type: "began",
    atMs: 8_639_999_999_999_999,
    reason: "\0".repeat(64),
    pictures: "continuous",
  } as const;
  expect(encodeMarks(Array.from({ length: 64 }, () => mark)).length).toBeLessThan(2 ** 16);
});
