import type { ParticipantId, TrackId } from "../contract/ids.ts";
import type { TrackTimeline } from "../contract/timeline.ts";
import type { FfmpegConfinement } from "../finalize/ffmpeg-confinement.ts";
import type { NamesFont } from "./composite/names-font.ts";
import type { FinalizeLimits } from "../finalize/finalize-limits.ts";
import type { PictureDisplay } from "../finalize/picture-display.ts";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import type { MediaRecord } from "../recording/ports.ts";

/** A published track that goes into an export. */
export interface ExportTrack {
  readonly participantId: ParticipantId;
  readonly trackId: TrackId;
  /** Of the published MP4. */
  readonly path: string;
  readonly media: MediaRecord;
  /** How its pictures are shown; as they are without it. */
  readonly display?: PictureDisplay;
  /** Second t of the MP4 is `offsetMs + 1000 t` on the recording's timeline. */
  readonly timeline: TrackTimeline;
}

/** What making an export has at hand. */
export interface ExportContext {
  /** From the recording's zero to its end: its stop, or the end of the last track. */
  readonly durationMs: number;
  /** In the order in which they came; at least one. */
  readonly tracks: readonly ExportTrack[];
  /** Of this run alone, on the file system of the recordings; whatever is left in it is removed. */
  readonly workDirectory: string;
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  readonly namesFont: NamesFont;
  readonly signal: AbortSignal;
  /** Share that is done, 0 to 1. */
  readonly onProgress: (share: number) => void;
}

/** A finished and verified file in the work directory, to be published. */
export interface MadeFile {
  readonly path: string;
  /** Under which it is published and offered, such as `ada-camera.mp4`; unique in its export. */
  readonly name: string;
  readonly mediaType: string;
  /** Whose it is; null for one of all. */
  readonly participantId: ParticipantId | null;
  readonly trackId: TrackId | null;
  readonly durationMs: number;
  /** What of it is not as asked, in sentences for the one who asked; none by default. */
  readonly notes?: readonly string[];
}

/** Makes the files of one kind of export. */
export type MakeExport<Options> = (
  options: Options,
  context: ExportContext,
) => Promise<readonly MadeFile[]>;
