import { describe, expect, test } from "bun:test";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { ArrivalNumbering } from "../../src/recording/arrival-numbering.ts";
import type { AppendRequest } from "../../src/recording/recording-engine.ts";
import type { SegmentView } from "../../src/recording/segment-view.ts";

const HEADER = "\x1a\x45\xdf\xa3header";
const KEY = {
  recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
  participantId: participantIdSchema.parse("alice"),
  trackId: trackIdSchema.parse("camera"),
};

/** Keeps what it is given, after as many turns of the event loop as the chunk has bytes. */
class SegmentsInMemory {
  readonly segments = new Map<string, string[]>();

  async append({ segmentId, firstSequence, chunks }: AppendRequest) {
    const texts = chunks.map(({ payload }) => Buffer.from(payload).toString("latin1"));
    for (let turns = texts.join("").length; turns > 0; turns -= 1) await Promise.resolve();
    const stored = this.segments.get(segmentId) ?? [];
    expect(firstSequence).toBe(stored.length);
    stored.push(...texts);
    this.segments.set(segmentId, stored);
    return { segmentId, nextSequence: stored.length, missing: [], chunks: [] };
  }

  segmentsOf(): string[][] {
    return [...this.segments.values()];
  }
}

function numbering(memory: SegmentsInMemory, views: readonly SegmentView[] = []): ArrivalNumbering {
  return new ArrivalNumbering({
    append: (request) => memory.append(request),
    segments: () => Promise.resolve([...views]),
  });
}

function append(target: ArrivalNumbering, ...texts: string[]): Promise<void> {
  return target.append({ ...KEY, chunks: texts.map((text) => Buffer.from(text, "latin1")) });
}

describe("ArrivalNumbering", () => {
  test("keeps the order of arrival, also of requests that overlap", async () => {
    const memory = new SegmentsInMemory();
    const target = numbering(memory);
    await Promise.all([
      append(target, HEADER, "a long chunk"),
      append(target, "b"),
      append(target, "c"),
    ]);
    expect(memory.segmentsOf()).toEqual([[HEADER, "a long chunk", "b", "c"]]);
  });

  test("opens a new segment at each container header", async () => {
    const memory = new SegmentsInMemory();
    const target = numbering(memory);
    await append(target, HEADER, "a");
    await append(target, `${HEADER} of a reload`, "b");
    expect(memory.segmentsOf()).toEqual([
      [HEADER, "a"],
      [`${HEADER} of a reload`, "b"],
    ]);
  });

  test("stores once what a client sends again because it got no answer", async () => {
    const memory = new SegmentsInMemory();
    const target = numbering(memory);
    await append(target, HEADER, "a", "b");
    await append(target, HEADER, "a", "b", "c");
    await append(target, "b", "c", "d");
    expect(memory.segmentsOf()).toEqual([[HEADER, "a", "b", "c", "d"]]);
  });

  test("leaves empty chunks out", async () => {
    const memory = new SegmentsInMemory();
    await append(numbering(memory), "", HEADER, "", "a");
    expect(memory.segmentsOf()).toEqual([[HEADER, "a"]]);
  });

  test("refuses a track that begins without a header, and takes it from its header on", async () => {
    const memory = new SegmentsInMemory();
    const target = numbering(memory);
    await expect(append(target, "middle")).rejects.toMatchObject({ code: "chunk-malformed" });
    await append(target, HEADER, "a");
    expect(memory.segmentsOf()).toEqual([[HEADER, "a"]]);
  });
});
