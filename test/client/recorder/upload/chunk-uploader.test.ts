import { describe, expect, test } from "bun:test";
import {
  BATCH_BYTES_MAX,
  ChunkUploader,
} from "../../../../client/recorder/upload/chunk-uploader.ts";
import { IngestApi } from "../../../../client/recorder/upload/ingest-api.ts";
import { TransferEstimate } from "../../../../client/recorder/upload/transfer-estimate.ts";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import { RecorderError } from "../../../../client/recorder/recorder-error.ts";
import { ManualClock } from "../../../support/manual-clock.ts";
import { until } from "../../../support/until.ts";
import { problem, ScriptedServer } from "../scripted-server.ts";
import { chunk, next, SEGMENT_ID, textOf, uploaderFor } from "./uploader-bed.ts";

describe("ChunkUploader", () => {
  test("uploads every chunk with its fields and then tells the segment's total", async () => {
    await using server = new ScriptedServer().start();
    const { uploader, spool, seen } = uploaderFor(server);
    for (let i = 0; i < 5; i += 1) uploader.add(chunk(i));
    uploader.endSegment(SEGMENT_ID, 5);
    expect(await uploader.finish()).toBeNull();

    const segment = server.segments.get(SEGMENT_ID);
    expect(textOf(server)).toBe("chunk 0;chunk 1;chunk 2;chunk 3;chunk 4;");
    expect(segment).toMatchObject({
      recordingId: "recording",
      participantId: "zoë@example.org 🎥",
      trackId: "camera",
      mimeType: "video/webm",
      chunkCount: 5,
    });
    expect(segment?.capturedAtMs.get(3)).toBe(3_500);
    expect(segment?.sha256.get(0)).toBe(
      new Bun.CryptoHasher("sha256").update("chunk 0;").digest("hex"),
    );
    expect(await spool.list()).toEqual([]);
    expect(seen.ended).toEqual([{ segmentId: SEGMENT_ID, chunkCount: 5 }]);
  });

  test("sends an empty chunk like any other", async () => {
    await using server = new ScriptedServer().start();
    const { uploader } = uploaderFor(server);
    uploader.add(chunk(0));
    uploader.add(chunk(1, ""));
    uploader.endSegment(SEGMENT_ID, 2);
    expect(await uploader.finish()).toBeNull();
    expect(server.segments.get(SEGMENT_ID)?.chunks.get(1)).toEqual(new Uint8Array());
  });

  test("tells nothing of a segment that has no chunk", async () => {
    await using server = new ScriptedServer().start();
    const { uploader } = uploaderFor(server);
    uploader.endSegment(SEGMENT_ID, 0);
    expect(await uploader.finish()).toBeNull();
    expect(server.arrived).toEqual([]);
  });

  test("has no more requests under way than it may", async () => {
    await using server = new ScriptedServer().start();
    const gate = Promise.withResolvers<void>();
    server.failWhen(() => ({ hold: gate.promise }));
    const { uploader } = uploaderFor(server, 2);
    const large = "x".repeat(BATCH_BYTES_MAX);
    for (let i = 0; i < 5; i += 1) uploader.add(chunk(i, large));
    uploader.endSegment(SEGMENT_ID, 5);
    await server.until(() => server.underWay === 2);
    gate.resolve();
    expect(await uploader.finish()).toBeNull();
    expect(server.underWayMax).toBe(2);
    expect(server.arrived.map(({ sequences }) => sequences)).toContainEqual([4]);
  });

  test("sends a backlog in batches of consecutive chunks of one segment", async () => {
    await using server = new ScriptedServer().start();
    const gate = Promise.withResolvers<void>();
    server.failNext({ hold: gate.promise });
    const other = "5a7d4d1e-3f0b-4a51-8d6c-2f6f1f4c9e10";
    const { uploader } = uploaderFor(server, 1);
    uploader.add(chunk(0));
    await server.until(() => server.underWay === 1);
    for (let i = 1; i < 4; i += 1) uploader.add(chunk(i));
    uploader.endSegment(SEGMENT_ID, 4);
    uploader.add(chunk(0, "second;", other));
    uploader.endSegment(other, 1);
    gate.resolve();
    expect(await uploader.finish()).toBeNull();
    const sequences = server.arrived.map((request) => request.sequences);
    expect(sequences).toEqual([[0], [1, 2, 3], [], [0], []]);
    expect(textOf(server, other)).toBe("second;");
  });

  for (const [status, code] of [
    [400, "unreadable-body"],
    [422, "chunk-hash-mismatch"],
    [408, "invalid-request"],
    [425, "invalid-request"],
    [429, "over-quota"],
    [500, "internal"],
    [502, "internal"],
    [503, "overloaded"],
    [507, "storage-full"],
  ] as const) {
    test(`repeats after ${status} ${code} until it succeeds`, async () => {
      await using server = new ScriptedServer().start();
      server.failNext({ answer: () => problem(status, code) });
      const { uploader, clock } = uploaderFor(server);
      const retry = next(uploader, "retry");
      uploader.add(chunk(0));
      uploader.endSegment(SEGMENT_ID, 1);
      expect(await retry).toMatchObject({ failures: 1, delayMs: 500 });
      clock.advance(500);
      expect(await uploader.finish()).toBeNull();
      expect(textOf(server)).toBe("chunk 0;");
    });
  }

  test("goes on with the other segments when one's total is refused", async () => {
    await using server = new ScriptedServer().start();
    const other = crypto.randomUUID();
    server.failNext({}, { answer: () => problem(409, "chunk-conflict") });
    const { uploader, seen } = uploaderFor(server);
    uploader.add(chunk(0));
    uploader.endSegment(SEGMENT_ID, 1);
    await until(() => seen.refused[0], { what: "the total is refused", timeoutMs: 10_000 });
    uploader.add(chunk(0, "of another;", other));
    uploader.endSegment(other, 1);
    expect(await uploader.finish()).toMatchObject({ code: "rejected", status: 409 });
    expect(seen.refused).toMatchObject([{ segmentId: SEGMENT_ID }]);
    expect(seen.ended).toEqual([{ segmentId: other, chunkCount: 1 }]);
    expect(seen.failed).toEqual([]);
  });

  test("waits as long as Retry-After asks, and its own jitter on top", async () => {
    await using server = new ScriptedServer().start();
    server.failNext({ answer: () => problem(503, "overloaded", { "Retry-After": "7" }) });
    const { uploader, clock } = uploaderFor(server);
    const retry = next(uploader, "retry");
    uploader.add(chunk(0));
    uploader.endSegment(SEGMENT_ID, 1);
    expect((await retry).delayMs).toBe(7_500);
    clock.advance(7_499);
    expect(clock.pendingTimers).toBe(1);
    clock.advance(1);
    expect(await uploader.finish()).toBeNull();
  });

  test("sends again what was stored when the answer was lost", async () => {
    await using server = new ScriptedServer().start();
    server.failNext({ losesAnswer: true }, {}, { losesAnswer: true });
    const { uploader, clock, seen } = uploaderFor(server);
    let retry = next(uploader, "retry");
    uploader.add(chunk(0));
    await retry;
    retry = next(uploader, "retry");
    uploader.endSegment(SEGMENT_ID, 1);
    clock.advance(500);
    await retry;
    clock.advance(500);
    expect(await uploader.finish()).toBeNull();
    expect(server.arrived.map(({ sequences }) => sequences)).toEqual([[0], [0], [], []]);
    expect(seen.acknowledged).toHaveLength(1);
  });

  test("does not take another server's 200 for an acknowledgement", async () => {
    await using server = new ScriptedServer().start();
    server.failNext(
      { answer: () => new Response("<h1>Log in to the hotel's network</h1>") },
      { answer: () => Response.json({ success: true }) },
      { answer: () => Response.json({ chunks: [{ sequence: 7, outcome: "accepted" }] }) },
    );
    const { uploader, clock, spool } = uploaderFor(server);
    let retry = next(uploader, "retry");
    uploader.add(chunk(0));
    uploader.endSegment(SEGMENT_ID, 1);
    for (const delayMs of [500, 1_000, 2_000]) {
      expect((await retry).delayMs).toBe(delayMs);
      expect(await spool.list()).toHaveLength(1);
      retry = next(uploader, "retry");
      clock.advance(delayMs);
    }
    expect(await uploader.finish()).toBeNull();
  });

  test("tries an unreachable server ever more rarely, without end", async () => {
    await using server = new ScriptedServer().start();
    await server.stop();
    const { uploader, clock, seen } = uploaderFor(server);
    const large = "x".repeat(BATCH_BYTES_MAX);
    let retry = next(uploader, "retry");
    for (let i = 0; i < 4; i += 1) uploader.add(chunk(i, large));
    uploader.endSegment(SEGMENT_ID, 4);
    for (let i = 0; i < 8; i += 1) {
      const { delayMs } = await retry;
      retry = next(uploader, "retry");
      clock.advance(delayMs);
    }
    expect(seen.retry.map(({ delayMs }) => delayMs)).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000,
    ]);
    await retry;
    server.start();
    // What the browser's "online" event does.
    uploader.retryNow();
    expect(await uploader.finish()).toBeNull();
    expect(textOf(server)).toBe(large.repeat(4));
  });

  test("tries a server that failed with one request at a time, until one succeeds", async () => {
    await using server = new ScriptedServer().start();
    const failing = Promise.withResolvers<void>();
    const trying = Promise.withResolvers<void>();
    const overloaded = { hold: failing.promise, answer: () => problem(503, "overloaded") };
    server.failNext(overloaded, overloaded, overloaded, { hold: trying.promise });
    const { uploader, clock } = uploaderFor(server, 3);
    const large = "x".repeat(BATCH_BYTES_MAX);
    for (let i = 0; i < 6; i += 1) uploader.add(chunk(i, large));
    uploader.endSegment(SEGMENT_ID, 6);
    await server.until(() => server.underWay === 3);
    failing.resolve();
    await server.until(() => server.underWay === 0);
    server.underWayMax = 0;
    const roundTrip = () => fetch(`${server.url}api/time`);
    while (server.arrived.length < 4) {
      clock.advance(5_000);
      await roundTrip();
    }
    // Others, if there were any, would have arrived before this.
    await roundTrip();
    expect(server.underWayMax).toBe(1);
    const recovered = Promise.withResolvers<void>();
    server.failWhen(() => ({ hold: recovered.promise }));
    trying.resolve();
    await server.until(() => server.underWay === 3);
    recovered.resolve();
    expect(await uploader.finish()).toBeNull();
    expect(textOf(server)).toBe(large.repeat(6));
  });

  test("gives a request up that gets no answer, and repeats it", async () => {
    await using server = new ScriptedServer().start();
    const gate = Promise.withResolvers<void>();
    server.failNext({ hold: gate.promise });
    const { uploader, clock } = uploaderFor(server);
    const retry = next(uploader, "retry");
    uploader.add(chunk(0));
    uploader.endSegment(SEGMENT_ID, 1);
    await server.until(() => server.underWay === 1);
    clock.advance(new TransferEstimate().timeoutMs(8) + 1);
    expect((await retry).reason).toContain("No answer");
    clock.advance(500);
    expect(await uploader.finish()).toBeNull();
    gate.resolve();
  });

  for (const [status, code, expected] of [
    [400, "invalid-request", "rejected"],
    [404, "recording-not-found", "recording-not-found"],
    [410, "recording-closed", "recording-closed"],
    [422, "invalid-request", "rejected"],
  ] as const) {
    test(`ends with ${expected} after ${status} ${code}, and keeps the chunks`, async () => {
      await using server = new ScriptedServer().start();
      server.failNext({ answer: () => problem(status, code) });
      const { uploader, spool, seen } = uploaderFor(server);
      uploader.add(chunk(0));
      const failed = await next(uploader, "failed");
      uploader.add(chunk(1));
      uploader.endSegment(SEGMENT_ID, 2);
      expect(await uploader.finish()).toBe(failed);
      expect(failed).toBeInstanceOf(RecorderError);
      expect(failed).toMatchObject({ code: expected, status, problemCode: code });
      expect((await spool.list()).map(({ sequence }) => sequence)).toEqual([0, 1]);
      expect(server.arrived).toHaveLength(1);
      expect(seen.failed).toHaveLength(1);
    });
  }

  for (const [status, code] of [
    [409, "chunk-conflict"],
    [422, "chunk-malformed"],
  ] as const) {
    test(`keeps a single chunk that ${status} ${code} refuses, delivers the others, and tells`, async () => {
      await using server = new ScriptedServer().start();
      server.failWhen(({ sequences }) =>
        sequences.includes(2) ? { answer: () => problem(status, code) } : undefined,
      );
      const { uploader, spool, seen } = uploaderFor(server, 1);
      for (let i = 0; i < 5; i += 1) uploader.add(chunk(i));
      uploader.endSegment(SEGMENT_ID, 5);
      const error = await uploader.finish();
      expect(error).toMatchObject({ code: "rejected", status, problemCode: code });
      expect(textOf(server)).toBe("chunk 0;chunk 1;chunk 3;chunk 4;");
      expect(server.segments.get(SEGMENT_ID)?.chunkCount).toBe(5);
      expect((await spool.list()).map(({ sequence }) => sequence)).toEqual([2]);
      expect(seen.refused).toHaveLength(1);
      expect(seen.failed).toEqual([]);
    });
  }

  test("ends when the chunk with the segment's header is refused", async () => {
    await using server = new ScriptedServer().start();
    server.failNext({ answer: () => problem(422, "chunk-malformed") });
    const { uploader, spool } = uploaderFor(server);
    uploader.add(chunk(0));
    expect(await uploader.finish()).toMatchObject({ code: "rejected", status: 422 });
    expect(await spool.list()).toHaveLength(1);
  });

  test("stops in the middle of a request and keeps what is not acknowledged", async () => {
    await using server = new ScriptedServer().start();
    const gate = Promise.withResolvers<void>();
    server.failNext({ hold: gate.promise });
    const { uploader, spool, clock } = uploaderFor(server);
    uploader.add(chunk(0));
    await server.until(() => server.underWay === 1);
    const reason = new RecorderError("stopped", "given up");
    const finished = uploader.finish();
    await uploader.stop(reason);
    expect(await finished).toBe(reason);
    expect(await spool.list()).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
    gate.resolve();
  });

  test("reports a spool that cannot keep a chunk", async () => {
    await using server = new ScriptedServer().start();
    const cause = new DOMException("full", "QuotaExceededError");
    class FullSpool extends MemorySpool {
      override async put(): Promise<never> {
        throw cause;
      }
    }
    const clock = new ManualClock();
    const api = new IngestApi({
      serverUrl: server.url,
      fetch: (url, init) => fetch(url, init),
      clock,
      clockOffsetMs: () => null,
    });
    const spool = new FullSpool();
    const uploader = new ChunkUploader({ spool, api, clock, parallelUploads: 1, random: () => 0 });
    uploader.add(chunk(0));
    expect(await uploader.finish()).toMatchObject({ code: "spool-failed", cause });
  });
});
