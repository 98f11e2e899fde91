import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../../src/contract/ids.ts";
import { RecentChunks } from "../../src/live/recent-chunks.ts";
import { GAP_WAIT_MS, followSegment } from "../../src/live/segment-follower.ts";
import type { SegmentLog } from "../../src/recording/ports.ts";
import { TrackBells } from "../../src/recording/track-bells.ts";
import { FileChunkStore } from "../../src/storage/file-chunk-store.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

const KEY = {
  recordingId: recordingIdSchema.parse(Bun.randomUUIDv7()),
  participantId: participantIdSchema.parse("ada"),
  trackId: trackIdSchema.parse("camera"),
  segmentId: segmentIdSchema.parse(crypto.randomUUID()),
};

let directory: TemporaryDirectory;
let clock: ManualClock;
let bells: TrackBells;
let store: FileChunkStore;
let log: SegmentLog;
let isOver: boolean;
let damaged: number[];
let leaving: AbortController;

beforeEach(async () => {
  directory = await temporaryDirectory();
  clock = new ManualClock();
  bells = new TrackBells(clock);
  store = new FileChunkStore(new RecordingsLayout(directory.path), () => {});
  log = await store.create({ ...KEY, mimeType: "video/webm", openedAtMs: clock.nowMs() });
  isOver = false;
  damaged = [];
  leaving = new AbortController();
});

afterEach(async () => {
  leaving.abort();
  await log.close();
  await directory[Symbol.asyncDispose]();
});

async function append(...sequences: readonly number[]): Promise<void> {
  const receivedAtMs = clock.nowMs();
  await log.append(
    sequences.map((sequence) => {
      const payload = new TextEncoder().encode(`chunk ${sequence}`);
      const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest();
      return { sequence, payload, sha256, capturedAtMs: null, receivedAtMs, marks: [] };
    }),
  );
  bells.ring(KEY);
}

function follow(fromSequence: number, { settledBefore = 0, share = Infinity } = {}) {
  const bell = bells.listen(KEY);
  const chunks = followSegment(KEY, fromSequence, {
    store,
    chunks: new RecentChunks(),
    hold: (byteLength) => byteLength <= share,
    clock,
    bell,
    settledBefore,
    isOver: async () => isOver,
    onDamaged: (sequence) => damaged.push(sequence),
    signal: leaving.signal,
  });
  /** The next sequence, with a `!` when bytes are missing before it; null at the end. */
  return async (): Promise<string | null> => {
    const { value, done } = await chunks.next();
    return done === true ? null : `${value.isAfterGap ? "!" : ""}${value.chunk.sequence}`;
  };
}

/** Waits until it is waited for, then lets the time pass. */
async function pass(durationMs: number): Promise<void> {
  await until(() => clock.pendingTimers > 0 || undefined, { what: "a wait", timeoutMs: 5_000 });
  clock.advance(durationMs);
}

describe("followSegment", () => {
  test("gives what is there and what comes, and ends with the segment", async () => {
    await append(0, 1, 2);
    const next = follow(1);
    expect(await next()).toBe("1");
    expect(await next()).toBe("2");
    const coming = next();
    await append(3);
    expect(await coming).toBe("3");
    const ending = next();
    await log.end(4);
    bells.ring(KEY);
    expect(await ending).toBeNull();
  });

  test("waits for a missing chunk for a while, and goes on without it then", async () => {
    await append(0, 2, 3);
    const next = follow(0);
    expect(await next()).toBe("0");
    const behind = next();
    await pass(GAP_WAIT_MS - 1);
    await pass(1);
    expect(await behind).toBe("!2");
    // What comes too late is not given any more.
    await append(1, 4);
    expect(await next()).toBe("3");
    expect(await next()).toBe("4");
  });

  test("gives a missing chunk that comes in time", async () => {
    await append(0, 2);
    const next = follow(0);
    expect(await next()).toBe("0");
    const behind = next();
    await pass(GAP_WAIT_MS - 1);
    await append(1);
    expect(await behind).toBe("1");
    expect(await next()).toBe("2");
  });

  test("whoever asks too slowly goes on at the newest", async () => {
    await append(0);
    const next = follow(0);
    expect(await next()).toBe("0");
    for (let sequence = 1; sequence < 10; sequence += 1) {
      await append(sequence);
      clock.advance(1_000);
    }
    expect(await next()).toBe("!9");
    const coming = next();
    await append(10);
    expect(await coming).toBe("10");
  });

  test("whoever joins far back has time to catch up, and goes on at the newest when it gets slower", async () => {
    for (let sequence = 0; sequence < 10; sequence += 1) {
      await append(sequence);
      clock.advance(1_000);
    }
    const next = follow(0);
    expect(await next()).toBe("0");
    clock.advance(1_000);
    expect(await next()).toBe("1");
    clock.advance(9_000);
    expect(await next()).toBe("!9");
  });

  test("does not wait for what was missing before it began", async () => {
    await append(0, 3, 5);
    const next = follow(0, { settledBefore: 4 });
    expect(await next()).toBe("0");
    expect(await next()).toBe("!3");
    const behind = next();
    await append(4);
    expect(await behind).toBe("4");
  });

  test("leaves out a chunk for which the viewer has no room", async () => {
    await append(8, 9, 10, 11);
    const next = follow(8, { share: "chunk 9".length });
    expect(await next()).toBe("8");
    expect(await next()).toBe("9");
    const later = next();
    await append(12);
    await log.end(13);
    bells.ring(KEY);
    expect(await later).toBeNull();
  });

  test("goes on behind a chunk whose bytes are damaged", async () => {
    await append(0, 1, 2);
    const file = Bun.file(
      new RecordingsLayout(directory.path).segmentPath(KEY.recordingId, KEY.segmentId),
    );
    const bytes = Buffer.from(await file.bytes());
    bytes[bytes.indexOf("chunk 1")] = 0;
    await file.write(bytes);
    const next = follow(0);
    expect(await next()).toBe("0");
    expect(await next()).toBe("!2");
    expect(damaged).toEqual([1]);
  });

  test("ends when it is over, and when its viewer has left", async () => {
    await append(0);
    const next = follow(0);
    expect(await next()).toBe("0");
    const ending = next();
    await pass(0);
    isOver = true;
    await pass(60_000);
    expect(await ending).toBeNull();

    isOver = false;
    const other = follow(1);
    const left = other();
    leaving.abort();
    expect(await left).toBeNull();
  });
});
