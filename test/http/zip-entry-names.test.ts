import { expect, test } from "bun:test";
import { participantIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { zipEntryNames } from "../../src/http/zip-entry-names.ts";
import * as fc from "fast-check";

const key = (participantId: string, trackId: string) => ({
  participantId: participantIdSchema.parse(participantId),
  trackId: trackIdSchema.parse(trackId),
});

test("a participant's tracks are in one folder, and no two participants share one", () => {
  expect(
    zipEntryNames([
      key("Ada", "camera"),
      key("ada", "camera"),
      key("Ada", "Camera"),
      key("a/b", "x"),
      key("a\\b", "x"),
      key("...", "..x"),
    ]),
  ).toEqual([
    "Ada/camera.mp4",
    "ada (2)/camera.mp4",
    "Ada/Camera (2).mp4",
    "a_b/x.mp4",
    "a_b (2)/x.mp4",
    "_/x.mp4",
  ]);
});

test("whatever the words are, names differ and stay below the folder that they are unpacked in", () => {
  const word = fc.oneof(
    fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }),
    fc.constantFrom("../..", "/etc", "C:\\x", "a", "A", "...", "CON", "a (2)"),
  );
  const words = word.filter((text) => participantIdSchema.safeParse(text).success);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(words, words), { selector: String }), (pairs) => {
      const names = zipEntryNames(pairs.map(([participant, track]) => key(participant, track)));
      expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(pairs.length);
      for (const name of names) {
        expect(name).toMatch(/^[^/\\:]+\/[^/\\:]+\.mp4$/);
        expect(name.split("/")).not.toContain("..");
      }
    }),
  );
});
