import { expect, test } from "bun:test";
import { hasFixedSize } from "../../../../client/recorder/capture/picture-size-watch.ts";

test("an MP4 carries one size, unless its codec is known to carry others", () => {
  for (const mimeType of [
    "video/mp4",
    "video/mp4;codecs=avc1,opus",
    'video/mp4; codecs="avc1.42E01E, mp4a.40.2"',
    "video/mp4;codecs=hvc1.1.6.L93.B0",
  ]) {
    expect(hasFixedSize(mimeType)).toBeTrue();
  }
  for (const mimeType of [
    "video/mp4;codecs=avc3.42001f,opus",
    "video/mp4;codecs=hev1.1.6.L93.B0",
    "video/mp4;codecs=vp9,opus",
    "video/mp4;codecs=vp09.00.10.08",
    "video/mp4;codecs=av01.0.04M.08,opus",
    "video/x-matroska;codecs=avc1,opus",
    "video/webm;codecs=vp8",
    "audio/mp4",
    "",
  ]) {
    expect(hasFixedSize(mimeType)).toBeFalse();
  }
});
