import type { Mark } from "../../src/contract/marks.ts";
import type { Track } from "../../src/contract/recordings.ts";
import { type RecordingsApi, trackOf, type TrackName } from "./recordings-api.ts";

const fieldUrl = new URL("../fixtures/field/", import.meta.url);

/** In so many pieces of about one length an input is sent: boundaries fall anywhere. */
const PIECES = 5;

/** One of the inputs of `fixtures/field/`, as a client sends it. */
export interface FieldSegment {
  readonly file: string;
  readonly mimeType: string;
  /**
   * `capturedAt_0`, in milliseconds after the recording's start, which must not be later than the chunk
   * arrives; without it no chunk tells a time.
   */
  readonly capturedAfterMs?: number;
  /** Paused from 1,500 to 2,500 ms after the recording's start. */
  readonly isPaused?: boolean;
}

/** Path of an input. */
export function fieldPath(file: string): string {
  return Bun.fileURLToPath(new URL(file, fieldUrl));
}

/** The bytes of an input in pieces, as chunks. */
export async function fieldChunks(file: string): Promise<Uint8Array<ArrayBuffer>[]> {
  const bytes = await Bun.file(fieldPath(file)).bytes();
  const pieceBytes = Math.ceil(bytes.length / PIECES);
  return Array.from({ length: PIECES }, (_, i) =>
    bytes.slice(i * pieceBytes, (i + 1) * pieceBytes),
  );
}

/** The marks that chunk 0 of a segment with a pause brings. */
export function pauseMarks(startedAtMs: number): Mark[] {
  return [
    { type: "began", atMs: startedAtMs, reason: "start", pictures: "continuous" },
    { type: "paused", atMs: startedAtMs + 1_500 },
    { type: "resumed", atMs: startedAtMs + 2_500 },
  ];
}

/** A track that was made of inputs. */
export interface FieldTrack {
  readonly name: TrackName;
  readonly track: Track;
}

/** Records inputs as the segments of one track, stops, and waits for the track; throws when it failed. */
export async function recordField(
  api: RecordingsApi,
  ...segments: readonly FieldSegment[]
): Promise<FieldTrack> {
  const recordingId = await api.start(segments[0]?.file);
  const name = { recordingId, participantId: "ann", trackId: "camera" };
  const startedAtMs = Date.parse((await api.show(recordingId)).startedAt);
  for (const { file, mimeType, capturedAfterMs, isPaused = false } of segments) {
    const segmentId = crypto.randomUUID();
    const chunks = await fieldChunks(file);
    const afterMs = capturedAfterMs ?? (isPaused ? 0 : undefined);
    await api.upload({
      ...name,
      segmentId,
      mimeType,
      sequence: 0,
      chunks,
      ...(isPaused && { marks: [pauseMarks(startedAtMs)] }),
      ...(afterMs !== undefined && { capturedAtMs: [startedAtMs + afterMs] }),
    });
    await api.endSegment(recordingId, segmentId, chunks.length);
  }
  await api.stop(recordingId);
  return { name, track: trackOf(await api.ready(recordingId), name) };
}
