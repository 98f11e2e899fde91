import { describe, expect, test } from "bun:test";
import type { MatroskaTrack } from "../../src/finalize/matroska-tracks.ts";
import { unitsOf, withUnitLengths } from "../../src/live/h264-annex-b.ts";
import { liveMediaFor } from "../../src/live/live-formats.ts";

function trackOf(kind: "video" | "audio", codecId: string, codecPrivate = ""): MatroskaTrack {
  return {
    number: kind === "video" ? 1 : 2,
    kind,
    codecId,
    codecPrivate,
    width: kind === "video" ? 640 : null,
    height: kind === "video" ? 360 : null,
    channels: kind === "audio" ? 2 : null,
    sampleRate: kind === "audio" ? 48_000 : null,
    codecDelayMs: 0,
    frameMs: undefined,
    encoded: false,
  };
}

const OPUS = trackOf("audio", "A_OPUS", "4f707573486561640102000080bb0000000000");
const AAC = trackOf("audio", "A_AAC", "1190");

function contentType(
  video: MatroskaTrack | undefined,
  audio: MatroskaTrack | undefined,
  keyFrame?: Uint8Array,
): string | undefined {
  return liveMediaFor({ video, audio }, keyFrame)?.contentType;
}

describe("liveMediaFor", () => {
  test("takes WebM for what it carries, MP4 for the rest", () => {
    const h264 = trackOf("video", "V_MPEG4/ISO/AVC", "0142c01fffe1000401020304010002aabb");
    expect(contentType(trackOf("video", "V_VP8"), OPUS)).toBe('video/webm; codecs="vp8,opus"');
    expect(contentType(h264, OPUS)).toBe('video/mp4; codecs="avc1.42c01f,opus"');
    expect(contentType(h264, AAC)).toBe('video/mp4; codecs="avc1.42c01f,mp4a.40.2"');
    expect(contentType(undefined, AAC)).toBe('audio/mp4; codecs="mp4a.40.2"');
    expect(contentType(undefined, OPUS)).toBe('audio/webm; codecs="opus"');
  });

  test("leaves a sound out that does not go with the picture, and a picture nobody shows", () => {
    expect(contentType(trackOf("video", "V_VP8"), AAC)).toBe('video/webm; codecs="vp8"');
    expect(contentType(trackOf("video", "V_THEORA"), OPUS)).toBe('audio/webm; codecs="opus"');
    expect(contentType(trackOf("video", "V_THEORA"), undefined)).toBeUndefined();
  });

  test("names a tier, a level and a depth of AV1", () => {
    expect(contentType(trackOf("video", "V_AV1", "81090c00"), undefined)).toBe(
      'video/webm; codecs="av01.0.09M.08"',
    );
    expect(contentType(trackOf("video", "V_AV1", "812dcc00"), undefined)).toBe(
      'video/webm; codecs="av01.1.13H.10"',
    );
  });

  test("reads the parameters of H.264 from the first picture where the header lacks them", () => {
    const track = trackOf("video", "V_MPEG4/ISO/AVC");
    const keyFrame = Uint8Array.fromHex("000000016764001f8c000000000168ce3c80000000000165b800");
    expect(contentType(track, OPUS, keyFrame)).toBe('video/mp4; codecs="avc1.64001f,opus"');
    // Without its parameters nothing of it can be shown.
    expect(contentType(track, OPUS, Uint8Array.fromHex("0000000165b800"))).toBe(
      'audio/webm; codecs="opus"',
    );
  });
});

test("sound that begins at zero begins there in MP4, too", () => {
  const media = liveMediaFor({ video: undefined, audio: AAC }, undefined);
  const block = {
    track: AAC,
    atMs: 0,
    durationMs: undefined,
    isKey: true,
    data: new Uint8Array(9),
  };
  const fragment = Buffer.from(media?.fragment([block]) ?? []);
  const at = fragment.indexOf("tfdt");
  // Behind its version and flags: the time of the first sample in 64 bits.
  expect(fragment.readBigUInt64BE(at + 8)).toBe(0n);
});

describe("a byte stream of H.264", () => {
  test("is cut at its start codes, of three bytes and of four", () => {
    const units = unitsOf(Uint8Array.fromHex("00000001670102000001680300000165040506"));
    expect(units.map((unit) => unit.toHex())).toEqual(["670102", "6803", "65040506"]);
    expect(unitsOf(Uint8Array.fromHex("6701"))).toEqual([]);
  });

  test("gets lengths in front of its units", () => {
    const bytes = withUnitLengths(Uint8Array.fromHex("000000016701000001680203"));
    expect(bytes.toHex()).toBe("00000002670100000003680203");
  });
});
