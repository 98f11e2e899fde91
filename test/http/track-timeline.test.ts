import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { manifestSchema } from "../../src/contract/manifest.ts";
import type { Mark } from "../../src/contract/marks.ts";
import type { Track } from "../../src/contract/recordings.ts";
import type { Gap } from "../../src/contract/timeline.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { recordingIdSchema } from "../../src/contract/ids.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment, type RecordedSegment } from "../support/recorded-media.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";

/** How far the ledger's times may be from those at which chunks were handed over. */
const TOLERANCE_MS = 100;

/** What the sound's encoder held when a chunk was handed over is in the next: packets of 60 ms. */
const ENCODER_MS = 60;

/** What was recorded must lie in the past when it is uploaded. */
const BEGAN_BEFORE_MS = 60_000;

let server: TrackCaptureServer;
let api: RecordingsApi;
let media: RecordedSegment;

beforeAll(async () => {
  [server, media] = await Promise.all([
    startServer({ env: { STOP_GRACE_MS: "0" } }),
    recordedSegment("h264-opus"),
  ]);
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

/** A recording that began a while ago, and when. */
async function earlierRecording(): Promise<{ recordingId: string; startedAtMs: number }> {
  const recordingId = await api.start();
  using database = new Database(join(server.recordingsDirectory, "catalog.sqlite"));
  database.run("PRAGMA busy_timeout = 10000");
  database.run("UPDATE recordings SET started_at_ms = started_at_ms - ? WHERE recording_id = ?", [
    BEGAN_BEFORE_MS,
    recordingId,
  ]);
  const { startedAt } = await api.show(recordingId);
  return { recordingId, startedAtMs: Date.parse(startedAt) };
}

/** One run of a recorder. */
interface Run {
  readonly recordingId: string;
  /** When it began, in milliseconds since the epoch. */
  readonly beganAtMs: number;
  readonly missing?: readonly number[];
  /** Of chunk 1. */
  readonly marks?: readonly Mark[];
}

const NAME = { participantId: "ada@example.org", trackId: "camera" };

/** When a chunk's slice began, from the begin of its recorder. */
const sliceBeginMs = (sequence: number): number => media.chunks[sequence - 1]?.atMs ?? 0;

/** Uploads the run with its stamps and marks, and ends it. */
async function upload({ recordingId, beganAtMs, missing = [], marks = [] }: Run): Promise<string> {
  const segmentId = crypto.randomUUID();
  const began: Mark = {
    type: "began",
    atMs: beganAtMs,
    reason: "start",
    pictures: "on-change",
  };
  for (const { sequence, payload } of media.chunks) {
    if (missing.includes(sequence)) continue;
    await api.upload({
      ...NAME,
      recordingId,
      segmentId,
      sequence,
      mimeType: media.mimeType,
      chunks: [payload],
      capturedAtMs: [beganAtMs + sliceBeginMs(sequence)],
      marks: [sequence === 0 ? [began] : sequence === 1 ? marks : []],
    });
  }
  await api.endSegment(recordingId, segmentId, media.chunks.length);
  return segmentId;
}

/** The track when it is finalized; its manifest must tell the same. */
async function finished(recordingId: string): Promise<Track> {
  await api.stop(recordingId);
  const track = trackOf(await api.ready(recordingId), NAME);
  const layout = new RecordingsLayout(server.recordingsDirectory);
  const manifestPath = layout.manifestPath(recordingIdSchema.parse(recordingId));
  const manifest = manifestSchema.parse(await Bun.file(manifestPath).json());
  expect(manifest.participants[0]?.tracks[0]?.timeline).toEqual(track.timeline);
  return track;
}

function expectNear(actualMs: number | undefined, expectedMs: number): void {
  expect(Math.abs((actualMs ?? Number.NaN) - expectedMs)).toBeLessThanOrEqual(TOLERANCE_MS);
}

/** Gaps of one cause that nobody would overlook. */
const gapsOf = (track: Track, cause: Gap["cause"]): Gap[] =>
  (track.timeline?.gaps ?? []).filter(
    (gap) => gap.cause === cause && gap.toMs - gap.fromMs > TOLERANCE_MS,
  );

test("a whole track stands where it was recorded, and lacks nothing", async () => {
  const { recordingId, startedAtMs } = await earlierRecording();
  const segmentId = await upload({ recordingId, beganAtMs: startedAtMs + 2_500 });
  const { verdict, timeline } = await finished(recordingId);
  expect(verdict).toBe("complete");
  expectNear(timeline?.offsetMs, 2_500);
  expectNear(timeline?.durationMs, media.chunks.at(-1)?.atMs ?? 0);
  expect(timeline?.segments.map((segment) => segment.segmentId as string)).toEqual([segmentId]);
  expect(timeline?.gaps).toEqual([]);
});

test("chunks that never came are a gap of their own time, which the reason names", async () => {
  const { recordingId, startedAtMs } = await earlierRecording();
  await upload({ recordingId, beganAtMs: startedAtMs + 2_500, missing: [2, 3] });
  const track = await finished(recordingId);
  const gaps = gapsOf(track, "missing-chunks");
  expect(new Set(gaps.flatMap(({ streams }) => streams))).toEqual(new Set(["video", "audio"]));
  for (const { fromMs, toMs } of gaps) {
    expectNear(fromMs, 2_500 + sliceBeginMs(2) - ENCODER_MS);
    expectNear(toMs, 2_500 + sliceBeginMs(4));
  }
  expect(track.verdict).toBe("degraded");
  expect(track.reason).toMatch(/lacks chunks 2-3 \(0:04\.[45] to 0:06\.[56]\)\./);
});

test("the time between two runs is a gap, a mute too, and neither degrades the track", async () => {
  const { recordingId, startedAtMs } = await earlierRecording();
  const secondAtMs = startedAtMs + 12_000;
  await upload({ recordingId, beganAtMs: startedAtMs + 500 });
  await upload({
    recordingId,
    beganAtMs: secondAtMs,
    marks: [
      { type: "muted", atMs: secondAtMs + 1_200, stream: "audio" },
      { type: "unmuted", atMs: secondAtMs + 2_700, stream: "audio" },
    ],
  });
  const track = await finished(recordingId);
  expect(track).toMatchObject({ verdict: "complete", reason: null });
  const [between, ...others] = gapsOf(track, "between-segments");
  expectNear(between?.fromMs, 500 + (media.chunks.at(-1)?.atMs ?? 0));
  expectNear(between?.toMs, 12_000);
  for (const { fromMs, toMs } of others) {
    expectNear(fromMs, between?.fromMs ?? 0);
    expectNear(toMs, between?.toMs ?? 0);
  }
  expect(gapsOf(track, "muted")).toEqual([
    { cause: "muted", streams: ["audio"], fromMs: 13_200, toMs: 14_700 },
  ]);
  expectNear(track.timeline?.durationMs, 11_500 + (media.chunks.at(-1)?.atMs ?? 0));
});

test("a track of which nothing can be used stands nowhere", async () => {
  const { recordingId, startedAtMs } = await earlierRecording();
  await upload({ recordingId, beganAtMs: startedAtMs, missing: [0] });
  expect(await finished(recordingId)).toMatchObject({ verdict: "lost", timeline: null });
});
