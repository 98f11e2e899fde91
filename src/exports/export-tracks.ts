import type { TrackTimeline } from "../contract/timeline.ts";
import type { RecordingRecord, TrackKey, TrackRecord } from "../recording/ports.ts";
import type { ExportTrack } from "./export-maker.ts";
import type { ExportSource } from "./export-queue.ts";

/** The tracks of a recording that have an MP4, in the order in which they came. */
export function exportTracksOf(
  record: RecordingRecord,
  tracks: readonly TrackRecord[],
  paths: { mediaPath(key: TrackKey): string },
): ExportTrack[] {
  return tracks.flatMap((track) => {
    const { participantId, trackId, result } = track;
    if (result === null || result.media === null) return [];
    const { media } = result;
    const timeline = result.timeline ?? assumedTimeline(record, result.segments, media.durationMs);
    return [{ participantId, trackId, path: paths.mediaPath(track), media, timeline }];
  });
}

/** An MP4 that was made before timelines were kept begins about when its first segment was opened. */
function assumedTimeline(
  { startedAtMs }: RecordingRecord,
  segments: readonly { readonly openedAt: string }[],
  durationMs: number,
): TrackTimeline {
  const openedMs = segments.map(({ openedAt }) => Date.parse(openedAt));
  const offsetMs = openedMs.length === 0 ? 0 : Math.min(...openedMs) - startedAtMs;
  return { offsetMs, durationMs, segments: [], gaps: [] };
}

/** From the recording's zero to its end: its stop, or the end of the last track. */
export function exportDurationMs(
  { startedAtMs, stoppedAtMs }: RecordingRecord,
  tracks: readonly ExportTrack[],
): number {
  const endsMs = tracks.map(
    ({ timeline, media }) => timeline.offsetMs + Math.max(timeline.durationMs, media.durationMs),
  );
  return Math.max((stoppedAtMs ?? startedAtMs) - startedAtMs, ...endsMs);
}

/** What goes into an export, so that it is known later whether that is still the newest. */
export function sourcesOf(tracks: readonly TrackRecord[]): ExportSource[] {
  return tracks.flatMap(({ participantId, trackId, result }) =>
    result === null || result.media === null
      ? []
      : [{ participantId, trackId, publishedAtMs: result.media.publishedAtMs }],
  );
}
