import { describe, expect, test } from "bun:test";
import { pictureReaderOf } from "../../src/finalize/coded-picture.ts";
import type { MatroskaTrack } from "../../src/finalize/matroska-tracks.ts";

const TRACK: MatroskaTrack = {
  number: 1,
  kind: "video",
  codecId: "",
  codecPrivate: "",
  width: null,
  height: null,
  channels: null,
  sampleRate: null,
  codecDelayMs: 0,
  frameMs: undefined,
  encoded: false,
};

/** `avcC` of units behind lengths of two bytes. */
const AVCC = "0142c01ffde0";

function read(codecId: string, hex: string, codecPrivate = "") {
  const bytes = Uint8Array.fromHex(`ff${hex}ff`);
  return pictureReaderOf({ ...TRACK, codecId, codecPrivate })?.(bytes, 1, bytes.length - 1);
}

const H264 = "V_MPEG4/ISO/AVC";
const HEVC = "V_MPEGH/ISO/HEVC";

describe("what a picture says of itself", () => {
  test.each([
    ["a keyframe of VP8", "V_VP8", "1000009d012a4001b400", true, true],
    ["a keyframe of VP8 that is not shown", "V_VP8", "0000009d012a4001b400", true, false],
    ["another of VP8", "V_VP8", "110000", false, true],
    ["a keyframe of VP9", "V_VP9", "824983420013f00b3000", true, true],
    ["one of VP9 that shows an earlier one", "V_VP9", "88", false, true],
    ["one of VP9 that is not shown", "V_VP9", "840101", false, false],
    // Not shown, intra only, no reset; then the sync code and the references that it writes.
    ["an intra-only one of VP9 that writes all references", "V_VP9", "848930685fe0", true, false],
    ["an intra-only one of VP9 that leaves some", "V_VP9", "8489306841e0", false, false],
    ["a superframe of VP9 with a shown one", "V_VP9", "84010186020202c10304c1", false, true],
    ["an AV1 keyframe with its sequence header", "V_AV1", "12000a0300000032021000", true, true],
    ["an AV1 keyframe without one", "V_AV1", "120032021000", false, true],
    ["another of AV1", "V_AV1", "120032023000", false, true],
    ["an IDR picture in Annex B", H264, "0000000109f0000001658880", true, true],
    ["a recovery point in Annex B", H264, "000001060601c480000001419a", true, true],
    ["a P picture in Annex B", H264, "0000000109f0000001419a00", false, true],
    ["an I picture, of which its container tells", H264, "000001418880", undefined, true],
    ["a second slice of an IDR picture", H264, "000001654220", false, false],
    ["a random access point of H.265", HEVC, "00000001460150000001260180", true, true],
    ["another of H.265", HEVC, "00000001460150000001020180", false, true],
  ] as const)("%s", (_, codecId, hex, isKey, isVisible) => {
    expect(read(codecId, hex)).toMatchObject({ isKey, isVisible });
  });

  test("units behind lengths", () => {
    expect(read(H264, "000209f00003658880", AVCC)?.isKey).toBeTrue();
    expect(read(H264, "000209f00003419a00", AVCC)?.isKey).toBeFalse();
  });

  test("nothing is told by what is none", () => {
    expect(read("V_VP8", "00000000000000000000")).toBeUndefined();
    expect(read("V_VP9", "00")).toBeUndefined();
    expect(read(H264, "deadbeef")).toBeUndefined();
    expect(read("V_THEORA", "00")).toBeUndefined();
    expect(pictureReaderOf({ ...TRACK, codecId: "V_VP8", encoded: true })).toBeUndefined();
  });
});
