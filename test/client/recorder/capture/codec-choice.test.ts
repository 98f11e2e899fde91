import { describe, expect, test } from "bun:test";
import {
  candidateMimeTypes,
  chooseMimeType,
  resizableFirst,
  withoutSound,
} from "../../../../client/recorder/capture/codec-choice.ts";
import { containerOfMimeType } from "../../../../src/recording/container.ts";

const both = { hasVideo: true, hasAudio: true };
const choose = (supported: readonly string[], kinds = both) =>
  chooseMimeType(candidateMimeTypes(kinds), (mimeType) => supported.includes(mimeType));

describe("codec choice", () => {
  test("prefers what is copied into an MP4 that plays anywhere", () => {
    expect(candidateMimeTypes(both)).toEqual([
      "video/x-matroska;codecs=avc1,opus",
      "video/webm;codecs=vp9,opus",
      "video/webm;codecs=av01,opus",
      "video/webm;codecs=vp8,opus",
      "video/webm",
      "video/mp4",
    ]);
  });

  test("takes the best that the browser has", () => {
    expect(choose(["video/webm;codecs=vp8,opus", "video/webm;codecs=vp9,opus"])).toBe(
      "video/webm;codecs=vp9,opus",
    );
    // Firefox
    expect(choose(["video/webm;codecs=vp8,opus", "video/webm"])).toBe("video/webm;codecs=vp8,opus");
    // Safari before 18.4
    expect(choose(["video/mp4", "audio/mp4"])).toBe("video/mp4");
  });

  test("names no sound codec for a stream without sound", () => {
    const types = candidateMimeTypes({ hasVideo: true, hasAudio: false });
    expect(types[0]).toBe("video/x-matroska;codecs=avc1");
    expect(types.join(" ")).not.toContain("opus");
  });

  test("takes an audio type for a stream without a picture", () => {
    const kinds = { hasVideo: false, hasAudio: true };
    expect(choose(["video/webm", "audio/webm;codecs=opus"], kinds)).toBe("audio/webm;codecs=opus");
    expect(choose(["video/mp4", "audio/mp4"], kinds)).toBe("audio/mp4");
  });

  test("leaves the sound's codec out of an app's choice for the picture alone", () => {
    expect(withoutSound("video/x-matroska;codecs=avc1.42E01E,opus")).toBe(
      "video/x-matroska;codecs=avc1.42E01E",
    );
    expect(withoutSound('video/webm; codecs="vp8, opus"')).toBe("video/webm;codecs=vp8");
    expect(withoutSound("video/webm;codecs=opus")).toBe("video/webm");
    expect(withoutSound("video/mp4")).toBe("video/mp4");
  });

  test("tries H.264 in MP4 first in the form whose picture may change its size", () => {
    expect(resizableFirst("video/mp4;codecs=avc1.42E01E,mp4a.40.2", both)).toEqual([
      "video/mp4;codecs=avc3.42E01E,mp4a.40.2",
      "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
    ]);
    expect(resizableFirst('video/mp4; codecs="avc1, opus"', both)[0]).toBe(
      'video/mp4; codecs="avc3, opus"',
    );
    expect(resizableFirst("video/mp4", both)).toEqual([
      "video/mp4;codecs=avc3,mp4a.40.2",
      "video/mp4;codecs=avc3,opus",
      "video/mp4",
    ]);
    expect(resizableFirst("video/mp4", { hasVideo: true, hasAudio: false })).toEqual([
      "video/mp4;codecs=avc3",
      "video/mp4",
    ]);
    for (const other of [
      "video/x-matroska;codecs=avc1,opus",
      "video/mp4;codecs=vp9,opus",
      "video/mp4;codecs=avc3,opus",
      "video/webm",
    ]) {
      expect(resizableFirst(other, both)).toEqual([other]);
    }
    expect(resizableFirst("video/mp4", { hasVideo: false, hasAudio: true })).toEqual(["video/mp4"]);
  });

  test("tells when nothing is supported", () => {
    expect(choose(["video/ogg"])).toBeUndefined();
  });

  test("offers only types that the server takes", () => {
    for (const hasVideo of [true, false]) {
      for (const mimeType of candidateMimeTypes({ hasVideo, hasAudio: true })) {
        expect(containerOfMimeType(mimeType)).toBeOneOf(["matroska", "mp4"]);
      }
    }
  });
});
