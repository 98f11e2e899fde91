import { describe, expect, test } from "bun:test";
import {
  beginsWithContainerHeader,
  containerOfHeader,
  containerOfMimeType,
} from "../../src/recording/container.ts";

const EBML = new Uint8Array([0x1a, 0x45, 0xdf, 0xa3, 0x9f, 0x42, 0x86, 0x81]);
const FTYP = new Uint8Array([0, 0, 0, 0x20, 0x66, 0x74, 0x79, 0x70, 0x69, 0x73, 0x6f, 0x6d]);

describe("containerOfMimeType", () => {
  test.each<[string, ReturnType<typeof containerOfMimeType>]>([
    ["video/webm;codecs=vp9,opus", "matroska"],
    ["video/x-matroska;codecs=avc1,opus", "matroska"],
    ["Audio/WebM", "matroska"],
    ["video/mp4; codecs=avc1", "mp4"],
    ["", undefined],
    ["text/plain", "unsupported"],
    ["application/vnd.apple.mpegurl", "unsupported"],
    ["constructor", "unsupported"],
  ])("%p names %p", (mimeType, container) => {
    expect(containerOfMimeType(mimeType)).toBe(container);
  });
});

describe("containerOfHeader", () => {
  test("knows Matroska and MP4 by their first bytes, also when only some are there", () => {
    for (let length = 1; length <= EBML.length; length += 1) {
      expect(containerOfHeader(EBML.subarray(0, length))).toBe("matroska");
    }
    for (let length = 1; length <= FTYP.length; length += 1) {
      expect(containerOfHeader(FTYP.subarray(0, length))).toBe("mp4");
    }
  });

  test.each(["#EXTM3U\n", "ffconcat version 1.0", '<?xml version="1.0"?><MPD>', "\u0000ab"])(
    "finds no container in %p",
    (text) => {
      const bytes = new TextEncoder().encode(text.padEnd(12, "x"));
      expect(containerOfHeader(bytes)).toBeUndefined();
    },
  );

  test("finds no container in nothing", () => {
    expect(containerOfHeader(new Uint8Array())).toBeUndefined();
  });
});

test("a new segment needs a whole signature, not the first byte of one", () => {
  expect(beginsWithContainerHeader(EBML)).toBe(true);
  expect(beginsWithContainerHeader(FTYP)).toBe(true);
  expect(beginsWithContainerHeader(EBML.subarray(0, 3))).toBe(false);
});
