import { describe, expect, test } from "bun:test";
import { MarkList } from "../../../../client/recorder/capture/mark-list.ts";
import { MARKS_PER_CHUNK_MAX, type Mark } from "../../../../src/contract/marks.ts";

const began: Mark = { type: "began", atMs: 0, reason: "start", pictures: "continuous" };

function listOf(...marks: readonly Mark[]): MarkList {
  const list = new MarkList();
  for (const mark of marks) list.add(mark);
  return list;
}

describe("MarkList", () => {
  test("gives each mark once, up to a time", () => {
    const list = listOf(began, { type: "paused", atMs: 10 }, { type: "hidden", atMs: 11 });
    expect(list.take(10)).toEqual([began, { type: "paused", atMs: 10 }]);
    expect(list.take(10)).toEqual([]);
    list.add({ type: "resumed", atMs: 12 });
    expect(list.take(Infinity)).toEqual([
      { type: "hidden", atMs: 11 },
      { type: "resumed", atMs: 12 },
    ]);
  });

  test("leaves the shortest changes out as a whole when there are too many", () => {
    const list = listOf(began);
    const pauses = Array.from({ length: 20 }, (_, i): Mark[] => [
      { type: "paused", atMs: 1_000 * i },
      { type: "resumed", atMs: 1_000 * i + 500 },
    ]).flat();
    const flickers = Array.from({ length: 500 }, (_, i): Mark[] => [
      { type: "muted", atMs: 30_000 + 10 * i, stream: "audio" },
      { type: "muted", atMs: 30_001 + 10 * i, stream: "video" },
      { type: "unmuted", atMs: 30_002 + 10 * i, stream: "video" },
      { type: "unmuted", atMs: 30_003 + 10 * i, stream: "audio" },
    ]).flat();
    for (const mark of [...pauses, ...flickers, { type: "ended", atMs: 40_000 } as const]) {
      list.add(mark);
    }
    const left = list.take(Infinity);
    expect(left.length).toBeLessThanOrEqual(MARKS_PER_CHUNK_MAX);
    expect(left.length).toBeGreaterThan(MARKS_PER_CHUNK_MAX - 3);
    expect(left[0]).toEqual(began);
    expect(left.at(-1)?.type).toBe("ended");
    expect(left.filter(({ type }) => type === "paused" || type === "resumed")).toEqual(pauses);
    // What is left still begins and ends in turn.
    for (const stream of ["audio", "video"] as const) {
      const kinds = left.filter((mark) => "stream" in mark && mark.stream === stream);
      expect(kinds.map(({ type }) => type)).toEqual(
        kinds.map((_, i) => (i % 2 === 0 ? "muted" : "unmuted")),
      );
    }
  });

  test("stays bounded, whatever there is too much of", () => {
    const kinds: readonly ((atMs: number) => Mark)[] = [
      (atMs) => ({ type: "frozen", atMs, toMs: atMs + 800 }),
      (atMs) => ({ type: "device-changed", atMs, stream: "video" }),
      (atMs) => (atMs % 2 === 0 ? { type: "hidden", atMs } : { type: "visible", atMs }),
    ];
    for (const kind of kinds) {
      const list = listOf(began, { type: "paused", atMs: 0 });
      for (let atMs = 0; atMs < 1_000; atMs += 1) list.add(kind(atMs));
      const left = list.take(Infinity);
      expect(left.length).toBeLessThanOrEqual(MARKS_PER_CHUNK_MAX);
      expect(left.slice(0, 2)).toEqual([began, { type: "paused", atMs: 0 }]);
    }
  });
});
