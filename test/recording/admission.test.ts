import { describe, expect, test } from "bun:test";
import { type CandidateChunk, type SegmentFacts, admit } from "../../src/recording/admission.ts";

const HEADER = new Uint8Array([0x1a, 0x45, 0xdf, 0xa3, 0x9f, 0x42, 0x86, 0x81]);
const LIMITS = { chunkBytesMax: 1_000, segmentGapsMax: 2 };
const NEW_SEGMENT: SegmentFacts = {
  mimeType: "video/webm",
  storedSha256: undefined,
  chunkCount: null,
  rangesAfter: 1,
};

function chunk(sequence: number, payload: Uint8Array, claimedSha256?: string): CandidateChunk {
  const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
  return { sequence, payload, sha256, claimedSha256 };
}

function outcomeOf(candidate: CandidateChunk, facts: Partial<SegmentFacts> = {}): string {
  return admit(candidate, { ...NEW_SEGMENT, ...facts }, LIMITS).outcome;
}

describe("admit", () => {
  test("accepts a first chunk that carries its container's header", () => {
    expect(outcomeOf(chunk(0, HEADER))).toBe("accepted");
    expect(outcomeOf(chunk(0, HEADER.subarray(0, 1)))).toBe("accepted");
    expect(outcomeOf(chunk(0, HEADER), { mimeType: "" })).toBe("accepted");
  });

  test("takes an empty chunk anywhere but at the start", () => {
    expect(outcomeOf(chunk(3, new Uint8Array()))).toBe("accepted");
    expect(outcomeOf(chunk(0, new Uint8Array()))).toBe("malformed");
  });

  test("refuses a first chunk of another container than the MIME type names", () => {
    expect(outcomeOf(chunk(0, HEADER), { mimeType: "video/mp4" })).toBe("malformed");
    expect(outcomeOf(chunk(0, new TextEncoder().encode("#EXTM3U")))).toBe("malformed");
  });

  test("refuses MIME types that no recorder makes, whatever the sequence", () => {
    expect(outcomeOf(chunk(5, HEADER), { mimeType: "text/html" })).toBe("malformed");
  });

  test("acknowledges the same bytes again and refuses others of the same sequence", () => {
    const stored = chunk(4, new Uint8Array([1, 2, 3]));
    expect(outcomeOf(stored, { storedSha256: stored.sha256 })).toBe("duplicate");
    expect(outcomeOf(chunk(4, new Uint8Array([9])), { storedSha256: stored.sha256 })).toBe(
      "conflict",
    );
  });

  test("compares the claimed hash in either case of its digits", () => {
    const right = new Bun.CryptoHasher("sha256").update(HEADER).digest("hex");
    expect(outcomeOf(chunk(0, HEADER, right))).toBe("accepted");
    expect(outcomeOf(chunk(0, HEADER, right.toUpperCase()))).toBe("accepted");
    expect(outcomeOf(chunk(0, HEADER, "0".repeat(64)))).toBe("damaged");
  });

  test("refuses sequences that are no 31-bit number", () => {
    for (const sequence of [-1, 2 ** 31, 1.5, Number.NaN]) {
      expect(outcomeOf(chunk(sequence, HEADER))).toBe("malformed");
    }
    expect(outcomeOf(chunk(2 ** 31 - 1, HEADER))).toBe("accepted");
  });

  test("refuses what is larger than the limit", () => {
    expect(outcomeOf(chunk(1, new Uint8Array(1_000)))).toBe("accepted");
    expect(outcomeOf(chunk(1, new Uint8Array(1_001)))).toBe("too-large");
  });

  test("takes a missing chunk of an ended segment, but none beyond its end", () => {
    expect(outcomeOf(chunk(1, HEADER), { chunkCount: 2 })).toBe("accepted");
    expect(outcomeOf(chunk(2, HEADER), { chunkCount: 2 })).toBe("conflict");
  });

  test("bounds the gaps of a segment", () => {
    expect(outcomeOf(chunk(8, HEADER), { rangesAfter: 3 })).toBe("accepted");
    expect(outcomeOf(chunk(8, HEADER), { rangesAfter: 4 })).toBe("over-quota");
  });
});
