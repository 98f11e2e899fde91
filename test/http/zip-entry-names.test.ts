import { expect, test } from "bun:test";
import { participantIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { zipEntryNames } from "../../src/http/zip-entry-names.ts";

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

test("the manifest beside the folders is none of them", () => {
  expect(zipEntryNames([key("Manifest.json", "camera")])).toEqual(["Manifest.json (2)/camera.mp4"]);
});

test("ten thousand tracks of one name take no more time than others", () => {
  const tracks = Array.from({ length: 10_000 }, (_, i) => key("?".repeat(1 + (i % 100)), "?*"));
  expect(new Set(zipEntryNames(tracks)).size).toBe(10_000);
});
