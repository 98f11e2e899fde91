import { describe, expect, test } from "bun:test";
import { RECORDER_DEFAULTS } from "../../../../client/recorder/recorder-defaults.ts";
import type { SpooledChunk } from "../../../../client/recorder/spool/chunk-spool.ts";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import { BODY_BYTES_MAX, FORM_BYTES_MAX } from "../../../../client/recorder/upload/body-limit.ts";
import { ChunkUploader } from "../../../../client/recorder/upload/chunk-uploader.ts";
import { IngestApi } from "../../../../client/recorder/upload/ingest-api.ts";
import {
  chunkFormBytes,
  COMMON_FORM_BYTES_MAX,
  requestBytes,
} from "../../../../client/recorder/upload/request-bytes.ts";
import { MARKS_PER_CHUNK_MAX, type Mark } from "../../../../src/contract/marks.ts";
import type { UploadRetry } from "../../../../client/recorder/recorder.d.ts";
import { RecorderError } from "../../../../client/recorder/recorder-error.ts";
import { ManualClock } from "../../../support/manual-clock.ts";
import { type ArrivedRequest, problem, ScriptedServer } from "../scripted-server.ts";

const SEGMENT_ID = "0b6fd2e0-8a40-4c6a-9a2e-0d3f8b0c1a2b";

/** An awkward instant: it has many digits. */
const AT_MS = 1_764_511_541_000.123;

const longestMarks: readonly Mark[] = Array.from({ length: MARKS_PER_CHUNK_MAX }, (_, i) =>
  i === 0
    ? { type: "began", atMs: AT_MS, reason: "x".repeat(64), pictures: "continuous" }
    : { type: "frozen", atMs: AT_MS + i / 7, toMs: AT_MS + i / 3 },
);

function chunk(sequence: number, bytes: number, marks: readonly Mark[] = []): SpooledChunk {
  return {
    recordingId: "recording",
    participantId: "🎥".repeat(128),
    trackId: "é".repeat(128),
    segmentId: SEGMENT_ID,
    sequence,
    payload: new Blob([new Uint8Array(bytes).fill(sequence)], {
      type: "video/webm;codecs=vp9,opus",
    }),
    mimeType: "video/webm;codecs=vp9,opus",
    beganAtMs: AT_MS + 1_000 * sequence,
    clockOffsetMs: 0.1 + 0.2,
    durationMs: 1_000,
    marks,
  };
}

/**
 * A proxy, or the server itself, that takes bodies of up to `bytesMax` and refuses larger ones: in
 * words, or so that the client cannot read any, as for a page a 413 without CORS headers.
 */
function limitedTo(
  server: ScriptedServer,
  bytesMax: number,
  refusal: "413" | "silent" | "chunk-too-large",
) {
  const proxy = {
    bytesMax,
    /** Of each request for chunks or an end, also refused ones. */
    bodies: [] as number[],
    fetch: async (url: string, init: RequestInit): Promise<Response> => {
      if (init.method !== "POST") return fetch(url, init);
      const encoded = new Response(init.body ?? null);
      const type = encoded.headers.get("Content-Type") ?? "";
      const body = await encoded.arrayBuffer();
      proxy.bodies.push(body.byteLength);
      if (body.byteLength > proxy.bytesMax) {
        // nginx's, as a page of the same origin reads it.
        if (refusal === "413") return new Response("<h1>413</h1>", { status: 413 });
        if (refusal === "chunk-too-large") return problem(413, refusal);
        throw new TypeError("Failed to fetch");
      }
      return fetch(url, { method: "POST", headers: { "Content-Type": type }, body });
    },
  };
  const clock = new ManualClock();
  const spool = new MemorySpool();
  const api = new IngestApi({
    serverUrl: server.url,
    fetch: proxy.fetch,
    clock,
    clockOffsetMs: () => 0,
  });
  const uploader = new ChunkUploader({ spool, api, clock, parallelUploads: 1, random: () => 1 });
  const retries: UploadRetry[] = [];
  const pieces: number[] = [];
  uploader.events.on("retry", (retry) => retries.push(retry));
  uploader.events.on("pieces", ({ bytesMax: max }) => pieces.push(max));
  /** Turns the clock until it holds, one timer's time after another. */
  const turnUntil = async (holds: () => boolean): Promise<void> => {
    for (let i = 0; !holds(); i += 1) {
      if (i > 4_000) throw new Error(`After ${clock.nowMs()} ms it does not hold`);
      // Lets requests be answered before time goes on.
      await (await fetch(`${server.url}api/time`)).arrayBuffer();
      clock.advance(100);
    }
  };
  return { proxy, uploader, clock, retries, pieces, turnUntil };
}

const sequencesOf = (requests: readonly ArrivedRequest[]) =>
  requests.flatMap(({ sequences }) => sequences);

describe("the size of a request", () => {
  test("is never more than what is reckoned with, with the longest words and most marks", async () => {
    await using server = new ScriptedServer().start();
    const { proxy, uploader, turnUntil } = limitedTo(server, Infinity, "413");
    const largest = chunk(0, RECORDER_DEFAULTS.chunkBytesMax, longestMarks);
    uploader.add(largest);
    uploader.endSegment(SEGMENT_ID, 1);
    await turnUntil(() => server.segments.get(SEGMENT_ID)?.chunkCount === 1);
    const [bodyBytes = 0] = proxy.bodies;
    expect(bodyBytes).toBeGreaterThan(RECORDER_DEFAULTS.chunkBytesMax);
    expect(bodyBytes).toBeLessThanOrEqual(requestBytes([largest]));
    // The largest chunk with all that it may bring passes where 1 MiB does.
    expect(requestBytes([largest])).toBeLessThanOrEqual(BODY_BYTES_MAX);
    const formBytes = requestBytes([chunk(0, 0, longestMarks)]);
    expect(formBytes).toBeLessThanOrEqual(FORM_BYTES_MAX);
    expect(formBytes - chunkFormBytes(largest)).toBeLessThanOrEqual(COMMON_FORM_BYTES_MAX);
  });

  test("leaves room for the form of a full batch where 1 MiB is the limit", async () => {
    await using server = new ScriptedServer().start();
    const { proxy, uploader, retries, turnUntil } = limitedTo(server, BODY_BYTES_MAX, "413");
    // Of the size that makes a batch as full as it gets, some with all their marks.
    const count = 64;
    for (let i = 0; i < count; i += 1) {
      uploader.add(chunk(i, BODY_BYTES_MAX / 16, i % 3 === 0 ? longestMarks : []));
    }
    uploader.endSegment(SEGMENT_ID, count);
    await turnUntil(() => server.segments.get(SEGMENT_ID)?.chunkCount === count);
    expect(retries).toEqual([]);
    expect(server.arrived.length).toBeLessThan(count / 10);
    expect(Math.max(...proxy.bodies)).toBeGreaterThan(0.9 * BODY_BYTES_MAX);
  });
});

for (const refusal of ["413", "silent", "chunk-too-large"] as const) {
  describe(`a proxy or server that refuses large bodies (${refusal})`, () => {
    test("gets smaller batches until they pass, and the size of new chunks follows", async () => {
      await using server = new ScriptedServer().start();
      const bytesMax = 150_000;
      const bed = limitedTo(server, bytesMax, refusal);
      const count = 40;
      for (let i = 0; i < count; i += 1) bed.uploader.add(chunk(i, 60_000));
      bed.uploader.endSegment(SEGMENT_ID, count);
      await bed.turnUntil(() => server.segments.get(SEGMENT_ID)?.chunkCount === count);
      expect(server.segments.get(SEGMENT_ID)?.chunks.size).toBe(count);
      const refused = bed.proxy.bodies.filter((bytes) => bytes > bytesMax);
      expect(refused.length).toBeGreaterThan(0);
      // Each refused body was smaller than the one before.
      expect(refused.every((bytes, i) => bytes <= 0.6 * (refused[i - 1] ?? Infinity))).toBe(true);
      for (const max of bed.pieces) expect(max).toBeLessThan(600_000);
    });

    test("lets the others by while a numbered chunk is too large, and takes it when it can", async () => {
      await using server = new ScriptedServer().start();
      const bytesMax = 100_000;
      const bed = limitedTo(server, bytesMax, refusal);
      for (let i = 0; i < 6; i += 1) bed.uploader.add(chunk(i, i === 2 ? 140_000 : 60_000));
      bed.uploader.endSegment(SEGMENT_ID, 6);
      const segment = () => server.segments.get(SEGMENT_ID);
      await bed.turnUntil(() => segment()?.chunks.size === 5);
      const deadlineMs = bed.clock.nowMs() + 85_000;
      await bed.turnUntil(() => bed.clock.nowMs() > deadlineMs);
      expect(segment()?.chunks.has(2)).toBe(false);
      // The same large body goes out a few times only.
      const tries = bed.proxy.bodies.filter((bytes) => bytes > 140_000 && bytes < 160_000);
      expect(tries.length).toBeGreaterThan(1);
      expect(tries.length).toBeLessThan(8);
      const parked = bed.retries.findLast(({ cause }) => cause === "body-too-large");
      expect(parked?.bodyBytes).toBeGreaterThan(140_000);
      expect(parked?.bodyBytesAccepted).toBeGreaterThan(60_000);
      expect(parked?.bodyBytesAccepted).toBeLessThan(bytesMax);
      // New ones are numbered small enough to pass.
      expect(bed.pieces.at(-1)).toBeLessThan(bytesMax);
      bed.proxy.bytesMax = Infinity;
      await bed.turnUntil(() => segment()?.chunkCount === 6);
      expect(sequencesOf(server.arrived)).toContain(2);
    });

    test("is sent larger bodies again once it takes them", async () => {
      await using server = new ScriptedServer().start();
      const bed = limitedTo(server, 150_000, refusal);
      for (let i = 0; i < 20; i += 1) bed.uploader.add(chunk(i, 60_000));
      await bed.turnUntil(() => server.segments.get(SEGMENT_ID)?.chunks.size === 20);
      bed.proxy.bytesMax = Infinity;
      for (let i = 20; Math.max(...bed.proxy.bodies.slice(-3)) < 900_000; i += 20) {
        expect(i).toBeLessThan(2_000);
        for (let k = i; k < i + 20; k += 1) bed.uploader.add(chunk(k, 60_000));
        await bed.turnUntil(() => server.segments.get(SEGMENT_ID)?.chunks.size === i + 20);
        bed.clock.advance(10_000);
      }
      if (refusal === "413") expect(bed.pieces.at(-1)).toBeGreaterThan(800_000);
      await bed.uploader.stop(new RecorderError("stopped", "enough"));
      expect(bed.clock.pendingTimers).toBe(0);
    });
  });
}

test("a network that is down is not taken for one that refuses a size", async () => {
  await using server = new ScriptedServer().start();
  const bed = limitedTo(server, Infinity, "silent");
  await server.stop();
  const retried = new Promise<void>((resolve) => {
    bed.uploader.events.on("retry", ({ failures }) => {
      if (failures === 4) resolve();
      bed.clock.advance(15_000);
    });
  });
  for (let i = 0; i < 12; i += 1) bed.uploader.add(chunk(i, 60_000));
  bed.uploader.endSegment(SEGMENT_ID, 12);
  await retried;
  expect(new Set(bed.retries.map(({ cause }) => cause))).toEqual(new Set(["no-answer"]));
  server.start();
  bed.uploader.retryNow();
  expect(await bed.uploader.finish()).toBeNull();
  expect(bed.pieces).toEqual([]);
  // All in one, as before.
  expect(server.arrived.map(({ sequences }) => sequences.length)).toEqual([12, 0]);
});

test("a path that loses two of three requests is not taken for one that refuses a size", async () => {
  await using server = new ScriptedServer().start();
  const bed = limitedTo(server, Infinity, "silent");
  const count = 12;
  const [takesAll, losesSome] = [Infinity, 0];
  bed.proxy.bytesMax = losesSome;
  bed.uploader.events.on("retry", () => {
    bed.proxy.bytesMax = bed.proxy.bodies.length % 3 === 2 ? takesAll : losesSome;
  });
  bed.uploader.events.on("acknowledged", () => {
    bed.proxy.bytesMax = losesSome;
  });
  for (let i = 0; i < count; i += 1) bed.uploader.add(chunk(i, 60_000));
  bed.uploader.endSegment(SEGMENT_ID, count);
  await bed.turnUntil(() => server.segments.get(SEGMENT_ID)?.chunkCount === count);
  expect(bed.retries.length).toBeGreaterThanOrEqual(count);
  expect(new Set(bed.retries.map(({ cause }) => cause))).toEqual(new Set(["no-answer"]));
  expect(bed.pieces).toEqual([]);
});
