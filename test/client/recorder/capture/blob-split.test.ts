import { expect, test } from "bun:test";
import { assert, asyncProperty, integer, uint8Array } from "fast-check";
import { splitBlob } from "../../../../client/recorder/capture/blob-split.ts";

test("splitBlob gives pieces within the limit that are together the blob", async () => {
  await assert(
    asyncProperty(
      uint8Array({ maxLength: 300 }),
      integer({ min: 1, max: 400 }),
      async (bytes, bytesMax) => {
        const blob = new Blob([new Uint8Array(bytes)], { type: "video/webm" });
        const pieces = splitBlob(blob, bytesMax);
        expect(pieces.length).toBe(Math.max(1, Math.ceil(bytes.length / bytesMax)));
        for (const piece of pieces) expect(piece.size).toBeLessThanOrEqual(bytesMax);
        expect(await new Blob([...pieces]).bytes()).toEqual(new Uint8Array(bytes));
      },
    ),
  );
});

test("splitBlob leaves a small and an empty blob as they are", () => {
  const small = new Blob(["a"]);
  const empty = new Blob([]);
  expect(splitBlob(small, 1)).toEqual([small]);
  expect(splitBlob(empty, 1)).toEqual([empty]);
});
