import { relative, sep } from "node:path";
import {
  MANIFEST_VERSION,
  type Manifest,
  type ManifestSegment,
  type ManifestTrack,
  manifestSchema,
} from "../contract/manifest.ts";
import type { RecordingRecord, TrackRecord, TrackResult } from "../recording/ports.ts";
import type { RecordingsLayout } from "../storage/layout.ts";

/** What says where MP4s are from the manifest. */
export type ManifestPaths = Pick<RecordingsLayout, "recordingDirectory" | "mediaPath">;

/** What a manifest tells, from what the catalogue knows. Pure. */
export function buildManifest(
  record: RecordingRecord,
  tracks: readonly TrackRecord[],
  layout: ManifestPaths,
): Manifest {
  const byParticipant = Map.groupBy(tracks, ({ participantId }) => participantId);
  // Parsing strips nothing and proves that what is written can be read back.
  return manifestSchema.parse({
    version: MANIFEST_VERSION,
    recording: {
      recordingId: record.recordingId,
      name: record.name,
      metadata: record.metadata,
      state: record.state,
      reason: record.reason,
      startedAt: isoTime(record.startedAtMs),
      stoppedAt: record.stoppedAtMs === null ? null : isoTime(record.stoppedAtMs),
      finalizedAt: record.finalizedAtMs === null ? null : isoTime(record.finalizedAtMs),
    },
    participants: Array.from(byParticipant, ([participantId, own]) => ({
      participantId,
      tracks: own.map((track) => manifestTrack(track, layout)),
    })),
  } satisfies Manifest);
}

function manifestTrack(track: TrackRecord, layout: ManifestPaths): ManifestTrack {
  const { result, job, trackId } = track;
  const error = job?.state === "failed" ? job.error : null;
  if (result === null) {
    return { trackId, verdict: null, reason: error, segments: [], timeline: null, media: null };
  }
  const reasons = [result.reason, error].filter((reason) => reason !== null);
  return {
    trackId,
    verdict: result.verdict,
    reason: reasons.length === 0 ? null : reasons.join(" "),
    segments: manifestSegments(result),
    timeline: result.timeline,
    media: manifestMedia(track, result, layout),
  };
}

function manifestSegments({ segments, damage }: TrackResult): ManifestSegment[] {
  return segments.map((summary) => {
    const own = damage.find(({ segmentId }) => segmentId === summary.segmentId);
    return {
      ...summary,
      damagedChunks: [...(own?.damagedChunks ?? [])],
      unusableBytes: own?.unusableBytes ?? 0,
    };
  });
}

function manifestMedia(
  track: TrackRecord,
  { media }: TrackResult,
  layout: ManifestPaths,
): ManifestTrack["media"] {
  if (media === null) return null;
  const { publishedAtMs, ...rest } = media;
  const directory = layout.recordingDirectory(track.recordingId);
  const path = relative(directory, layout.mediaPath(track)).split(sep).join("/");
  return { ...rest, publishedAt: isoTime(publishedAtMs), path };
}

function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
