import type {
  Participant,
  Recording,
  RecordingSummary,
  SegmentSummary,
  Track,
  TrackMedia,
  TrackState,
} from "../contract/recordings.ts";
import type { MediaRecord, RecordingRecord, TrackKey, TrackRecord } from "../recording/ports.ts";
import type { SegmentView } from "../recording/segment-view.ts";

const isoTime = (epochMs: number) => new Date(epochMs).toISOString();
const isoTimeOrNull = (epochMs: number | null) => (epochMs === null ? null : isoTime(epochMs));

/** A recording as the list shows it. */
export function recordingSummary(record: RecordingRecord): RecordingSummary {
  return {
    recordingId: record.recordingId,
    name: record.name,
    metadata: record.metadata,
    state: record.state,
    reason: record.reason,
    startedAt: isoTime(record.startedAtMs),
    stoppedAt: isoTimeOrNull(record.stoppedAtMs),
    finalizedAt: isoTimeOrNull(record.finalizedAtMs),
  };
}

/** The whole of a recording, from what the catalogue and the engine know of it. */
export function recordingView(
  record: RecordingRecord,
  tracks: readonly TrackRecord[],
  segments: readonly SegmentView[],
): Recording {
  const byParticipant = Map.groupBy(tracks, ({ participantId }) => participantId);
  const participants = Array.from(byParticipant, ([participantId, own]): Participant => ({
    participantId,
    tracks: own.map((track) => trackView(record, track, segmentsOf(track, segments))),
  }));
  return { ...recordingSummary(record), participants };
}

/** The segments of one track, in the order in which they were opened. */
export function segmentsOf(
  track: TrackKey,
  segments: readonly SegmentView[],
): readonly SegmentSummary[] {
  return segments
    .filter(
      ({ participantId, trackId }) =>
        participantId === track.participantId && trackId === track.trackId,
    )
    .map(({ summary }) => summary)
    .toSorted((a, b) => (a.openedAt < b.openedAt ? -1 : Number(a.openedAt > b.openedAt)));
}

/** A file of a track that is downloaded from beside the others. */
type TrackFile = "media.mp4" | "poster.jpg" | "waveform.json";

/** Where a file of a track is downloaded, from the server's root. */
function trackFileUrl({ recordingId, participantId, trackId }: TrackKey, file: TrackFile): string {
  const [recording, participant, track] = [recordingId, participantId, trackId].map((id) =>
    encodeURIComponent(id),
  );
  return `/api/recordings/${recording}/participants/${participant}/tracks/${track}/${file}`;
}

/** State of a track's MP4, and what holds it up. */
export function trackState(
  record: RecordingRecord,
  { job, result }: TrackRecord,
): { readonly state: TrackState; readonly reason: string | null } {
  if (record.state === "recording") return { state: "recording", reason: null };
  switch (job?.state) {
    case "queued":
    case "running":
      return { state: "finalizing", reason: null };
    case "failed":
      return { state: "failed", reason: job.error };
    case "done":
    case undefined:
      // Of a track that is lost there is no MP4, and nothing that a retry could make better.
      return result === null
        ? { state: "finalizing", reason: null }
        : { state: "ready", reason: result.reason };
  }
}

function trackView(
  record: RecordingRecord,
  track: TrackRecord,
  segments: readonly SegmentSummary[],
): Track {
  const { job, result } = track;
  const media = result?.media ?? null;
  const isUnderWay = job?.state === "queued" || job?.state === "running";
  return {
    trackId: track.trackId,
    ...trackState(record, track),
    progress: isUnderWay ? job.progress : null,
    verdict: result?.verdict ?? null,
    media: media && trackMedia(track, media),
    posterUrl: media?.videoCodec ? trackFileUrl(track, "poster.jpg") : null,
    waveformUrl: media?.audioCodec ? trackFileUrl(track, "waveform.json") : null,
    segments: [...segments],
    timeline: result?.timeline ?? null,
  };
}

function trackMedia(key: TrackKey, { publishedAtMs, ...media }: MediaRecord): TrackMedia {
  return { url: trackFileUrl(key, "media.mp4"), ...media, publishedAt: isoTime(publishedAtMs) };
}
