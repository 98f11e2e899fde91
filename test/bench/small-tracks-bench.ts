import { RecordingsApi } from "../support/recordings-api.ts";
import { type RecordedSegment, recordedSegment } from "../support/recorded-media.ts";
import { type TrackCaptureServer, startServer } from "../support/track-capture-server.ts";
import { settleDisk } from "./settle-disk.ts";
import { printTable } from "./table.ts";

/** About two seconds of VP9 and Opus. */
const CHUNKS_PER_SEGMENT = 2;
/** As long as the slices of the fixture. */
const SEGMENT_MS = 2_500;
const UPLOADS_AT_ONCE = 8;
/** Answers take time of the server that is measured. */
const POLL_MS = 250;

/** A recording of short segments. */
interface SmallTracks {
  readonly participants: number;
  readonly segmentsPerTrack: number;
}

const CASES: readonly SmallTracks[] = [
  { participants: 1, segmentsPerTrack: 1 },
  { participants: 1, segmentsPerTrack: 20 },
  { participants: 1, segmentsPerTrack: 300 },
  { participants: 200, segmentsPerTrack: 1 },
];

/**
 * From `stop` to `ready` for recordings of many small tracks or many short segments, and for a small
 * recording that is stopped right after each of them, with the time until its waveform is there.
 */
export async function benchSmallTracks(): Promise<void> {
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const media = await recordedSegment("vp9-opus");
  const rows: string[][] = [];
  for (const tracks of CASES) rows.push(await measure(server, media, tracks));
  printTable(
    "Finalize: segments of 2 s of VP9 + Opus; then one participant with one, stopped right after",
    ["participants", "segments each", "ready ms", "next ready ms", "next waveform ms"],
    rows,
  );
}

async function measure(
  server: TrackCaptureServer,
  media: RecordedSegment,
  tracks: SmallTracks,
): Promise<string[]> {
  const api = new RecordingsApi(server.url);
  const recordingId = await upload(api, media, tracks);
  const nextId = await upload(api, media, { participants: 1, segmentsPerTrack: 1 });
  await settleDisk();
  await api.stop(recordingId);
  await api.stop(nextId);
  const stoppedAt = performance.now();
  const [ownMs, next] = await Promise.all([
    readyMs(api, recordingId),
    readyMs(api, nextId).then(async (ms) => ({ ms, waveformMs: await waveformMs(api, nextId) })),
  ]);
  return [
    String(tracks.participants),
    String(tracks.segmentsPerTrack),
    String(ownMs),
    String(next.ms),
    (next.waveformMs - stoppedAt).toFixed(0),
  ];
}

async function upload(
  api: RecordingsApi,
  { mimeType, chunks }: RecordedSegment,
  { participants, segmentsPerTrack }: SmallTracks,
): Promise<string> {
  const recordingId = await api.start("bench");
  const beganAtMs = Date.now();
  const payloads = chunks.slice(0, CHUNKS_PER_SEGMENT).map(({ payload }) => payload);
  const waiting = Array.from({ length: participants * segmentsPerTrack }, (_, i) => i);
  const work = async (): Promise<void> => {
    for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
      const segmentId = crypto.randomUUID();
      const segmentAtMs = beganAtMs + (i % segmentsPerTrack) * SEGMENT_MS;
      await api.upload({
        recordingId,
        participantId: `participant ${Math.floor(i / segmentsPerTrack)}`,
        trackId: "camera",
        segmentId,
        sequence: 0,
        mimeType,
        chunks: payloads,
        capturedAtMs: payloads.map((_, sequence) => segmentAtMs + sequence * 1_000),
      });
      await api.endSegment(recordingId, segmentId, payloads.length);
    }
  };
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, work));
  return recordingId;
}

/** By the server's own clock. */
async function readyMs(api: RecordingsApi, recordingId: string): Promise<number> {
  for (;;) {
    const found = (await api.list()).find((recording) => recording.recordingId === recordingId);
    if (found?.state === "failed") throw new Error(`Recording ${recordingId} failed`);
    if (found?.state === "ready") {
      return Date.parse(found.finalizedAt ?? "") - Date.parse(found.stoppedAt ?? "");
    }
    await Bun.sleep(POLL_MS);
  }
}

/** When the waveform of the recording's only track was there, on the clock of `performance`. */
async function waveformMs(api: RecordingsApi, recordingId: string): Promise<number> {
  const recording = await api.show(recordingId);
  const url = new URL(recording.participants[0]?.tracks[0]?.waveformUrl ?? "", api.serverUrl);
  for (;;) {
    const response = await fetch(url);
    await response.bytes();
    if (response.ok) return performance.now();
    await Bun.sleep(POLL_MS);
  }
}
