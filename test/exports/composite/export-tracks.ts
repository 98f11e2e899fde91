import { participantIdSchema, trackIdSchema } from "../../../src/contract/ids.ts";
import type { Gap, TimelineSegment } from "../../../src/contract/timeline.ts";
import type { ExportTrack } from "../../../src/exports/export-maker.ts";

/** What of a track matters to a composite. */
export interface TrackSketch {
  readonly participant: string;
  readonly track?: string;
  readonly offsetMs: number;
  readonly durationMs: number;
  readonly pictures?: boolean;
  readonly sound?: boolean;
  readonly path?: string;
  readonly gaps?: readonly Gap[];
  readonly segments?: readonly TimelineSegment[];
}

/** A published track as a composite gets it. */
export function exportTrack(sketch: TrackSketch): ExportTrack {
  const { participant, track = "camera", offsetMs, durationMs } = sketch;
  const hasPictures = sketch.pictures ?? true;
  const hasSound = sketch.sound ?? true;
  return {
    participantId: participantIdSchema.parse(participant),
    trackId: trackIdSchema.parse(track),
    path: sketch.path ?? `/media/${participant}-${track}.mp4`,
    media: {
      bytes: 1,
      durationMs,
      videoCodec: hasPictures ? "vp9" : null,
      audioCodec: hasSound ? "opus" : null,
      width: hasPictures ? 640 : null,
      height: hasPictures ? 360 : null,
      videoPackets: 1,
      audioPackets: 1,
      action: "copy",
      actionReason: "",
      publishedAtMs: 0,
    },
    timeline: {
      offsetMs,
      durationMs,
      segments: [...(sketch.segments ?? [])],
      gaps: [...(sketch.gaps ?? [])],
    },
  };
}
