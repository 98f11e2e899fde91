import { afterAll, beforeAll, expect, test } from "bun:test";
import { DeliveryJudge } from "./delivery-judge.ts";
import { recordedSegment, type RecordedChunk } from "./recorded-media.ts";
import type { LedgerRun } from "./recorder-ledger.ts";
import { RecordingsApi } from "./recordings-api.ts";
import { startServer, type TrackCaptureServer } from "./track-capture-server.ts";

let server: TrackCaptureServer;
let api: RecordingsApi;
let mimeType: string;
let chunks: readonly RecordedChunk[];

beforeAll(async () => {
  server = await startServer();
  api = new RecordingsApi(server.url);
  ({ mimeType, chunks } = await recordedSegment("vp9-opus"));
});

afterAll(() => server[Symbol.asyncDispose]());

/** Uploads the chunks, each alone, but those of these numbers; gives the recording. */
async function upload(...omitted: readonly number[]): Promise<string> {
  const recordingId = await api.start();
  const name = { recordingId, participantId: "ann", trackId: "camera" };
  const segmentId = crypto.randomUUID();
  for (const { sequence, payload } of chunks) {
    if (omitted.includes(sequence)) continue;
    await api.upload({ ...name, segmentId, mimeType, sequence, chunks: [payload] });
  }
  return recordingId;
}

/** The run that gave the chunks, one of them changed if `change` is given. */
function runOf(change: { readonly sequence: number; readonly sha256: string | null }): LedgerRun {
  return {
    runId: crypto.randomUUID(),
    startedAtMs: 0,
    chunks: chunks.map(({ sequence, payload, atMs, sha256 }) => ({
      bytes: payload.length,
      atMs,
      sha256: sequence === change.sequence ? change.sha256 : sha256,
    })),
  };
}

const AS_RECORDED = { sequence: -1, sha256: null };

test("names the chunks that the server does not have, up to a time", async () => {
  const run = runOf(AS_RECORDED);
  const judge = new DeliveryJudge({ runs: [run] }, api, await upload(2, 5));
  const sequences = async (untilMs: number) =>
    (await judge.undelivered(untilMs)).map(({ sequence }) => sequence);
  expect(await sequences(Infinity)).toEqual([2, 5]);
  expect(await sequences(run.chunks[4]?.atMs ?? 0)).toEqual([2]);
  const segments = await judge.expectExact();
  expect(segments.get(run)?.chunks).toBe(chunks.length - 2);
});

test("a run of which the server has nothing is undelivered as a whole", async () => {
  const judge = new DeliveryJudge({ runs: [runOf(AS_RECORDED)] }, api, await api.start());
  expect((await judge.undelivered(Infinity)).length).toBe(chunks.length);
});

test("a chunk with other bytes than were recorded is found", async () => {
  const changed = runOf({ sequence: 3, sha256: chunks[4]?.sha256 ?? "" });
  const judge = new DeliveryJudge({ runs: [changed] }, api, await upload());
  expect(judge.expectExact()).rejects.toThrow();
});

test("a segment that no recorder gave is found", async () => {
  const judge = new DeliveryJudge({ runs: [] }, api, await upload());
  expect(judge.expectExact()).rejects.toThrow();
});
