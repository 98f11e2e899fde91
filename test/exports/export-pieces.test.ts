import { describe, expect, test } from "bun:test";
import { segmentIdSchema } from "../../src/contract/ids.ts";
import { ExportFileNames } from "../../src/exports/export-file-names.ts";
import { isSteady, placedMs, stretchesOf } from "../../src/exports/track-place.ts";

describe("names of files", () => {
  test("keep letters and digits of any script", () => {
    const names = new ExportFileNames();
    expect(names.add(["Zoë Müller", "camera"], "mp4")).toBe("Zoë-Müller-camera.mp4");
    expect(names.add(["山田@例え.jp", "screen 2"], "mp4")).toBe("山田-例え-jp-screen-2.mp4");
  });

  test("are unique, also where case is ignored or nothing can be kept", () => {
    const names = new ExportFileNames();
    const words = ["ada", "ADA", "🎥", "..", "ada"];
    const made = words.map((word) => names.add([word], "flac"));
    expect(made).toEqual(["ada.flac", "ADA-2.flac", "file.flac", "file-2.flac", "ada-3.flac"]);
  });

  test.each(["../../etc/passwd", "a/b\\c", "x".repeat(500), "𠜎".repeat(128), "a\u0000b"])(
    "%p leaves no directory and fits any file system",
    (word) => {
      const name = new ExportFileNames().add([word, word], "mp4");
      expect(name).toMatch(/^[\p{L}\p{N}_-]+\.mp4$/u);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
    },
  );
});

describe("a track's place", () => {
  const segmentId = segmentIdSchema.parse(crypto.randomUUID());
  const timeline = (...segments: [offsetMs: number, durationMs: number, rate: number][]) => ({
    timeline: {
      offsetMs: segments[0]?.[0] ?? 0,
      durationMs: 100_000,
      gaps: [],
      segments: segments.map(([offsetMs, durationMs, rate]) => ({
        segmentId,
        offsetMs,
        durationMs,
        rate,
      })),
    },
  });

  test("is its offset while its clock is off by less than half a picture", () => {
    const stretches = stretchesOf(timeline([500, 90_000, 1.000_2]));
    expect(isSteady(stretches)).toBeTrue();
    expect(placedMs(stretches, 90_000)).toBe(90_500);
  });

  test("keeps to the server's clock where its own ran slow", () => {
    const stretches = stretchesOf(timeline([500, 180_000, 1.000_2]));
    expect(isSteady(stretches)).toBeFalse();
    expect(placedMs(stretches, 0)).toBe(500);
    expect(placedMs(stretches, 180_000)).toBeCloseTo(180_536, 6);
  });

  test("of each segment is its own", () => {
    const stretches = stretchesOf(timeline([1_000, 10_000, 1.01], [21_000, 10_000, 1]));
    expect(placedMs(stretches, 10_000)).toBeCloseTo(11_100, 6);
    expect(placedMs(stretches, 20_000)).toBe(21_000);
    expect(placedMs(stretches, 25_000)).toBe(26_000);
  });
});
