import type {
  Recording,
  RecordingState,
  RecordingSummary,
  Track,
  TrackMedia,
  Verdict,
} from "../../src/contract/recordings.ts";
import { formatBytes } from "./format-bytes.ts";
import { formatDuration } from "./format-duration.ts";

/** A word with the colour that it is shown in. */
export interface Badge {
  readonly text: string;
  readonly tone: "safe" | "warning" | "danger" | "plain";
}

const STATES: Record<RecordingState, Badge> = {
  recording: { text: "Recording now", tone: "danger" },
  finalizing: { text: "Making the MP4", tone: "warning" },
  ready: { text: "Ready", tone: "safe" },
  failed: { text: "Failed", tone: "danger" },
};

const VERDICTS: Record<Verdict, Badge> = {
  complete: { text: "Complete", tone: "safe" },
  degraded: { text: "Parts missing", tone: "warning" },
  lost: { text: "Lost", tone: "danger" },
};

/** A recording's state in words. */
export function stateBadge(state: RecordingState): Badge {
  return STATES[state];
}

/** A track's verdict in words or, while there is none, its state. */
export function trackBadge(track: Pick<Track, "state" | "verdict">): Badge {
  if (track.state !== "ready" || track.verdict === null) return stateBadge(track.state);
  return VERDICTS[track.verdict];
}

/** The name that a recording is shown by. */
export function shownName(recording: Pick<RecordingSummary, "name">): string {
  return recording.name ?? "Untitled recording";
}

/** An MP4's facts in one line: `0:12 · 1.9 MB · 1280×720 · H264, OPUS`. */
export function mediaFacts(media: TrackMedia): string {
  const codecs = [media.videoCodec, media.audioCodec].filter((codec) => codec !== null);
  const facts = [formatDuration(media.durationMs), formatBytes(media.bytes)];
  if (media.width !== null && media.height !== null) facts.push(`${media.width}×${media.height}`);
  if (codecs.length > 0) facts.push(codecs.join(" + ").toUpperCase());
  return facts.join(" · ");
}

/** How long a call was, from its start to its stop; null while it runs. */
export function callDuration(recording: RecordingSummary): string | null {
  if (recording.stoppedAt === null) return null;
  return formatDuration(Date.parse(recording.stoppedAt) - Date.parse(recording.startedAt));
}

/** How far the finalization of all tracks together is, 0 to 1; null while that is unknown. */
export function finalizationProgress(recording: Pick<Recording, "participants">): number | null {
  const tracks = recording.participants.flatMap((participant) => participant.tracks);
  // Of no tracks at all nothing is known either.
  if (tracks.every((track) => isUnstarted(track))) return null;
  const done = tracks.map((track) => (isSettled(track) ? 1 : (track.progress ?? 0)));
  return done.reduce((sum, share) => sum + share, 0) / tracks.length;
}

const isSettled = (track: Track) => track.state === "ready" || track.state === "failed";
const isUnstarted = (track: Track) => !isSettled(track) && track.progress === null;

/** Whether nothing more happens to a recording by itself. */
export function isFinal(recording: Pick<Recording, "state" | "participants">): boolean {
  if (recording.state !== "ready" && recording.state !== "failed") return false;
  const tracks = recording.participants.flatMap((participant) => participant.tracks);
  return tracks.every((track) => isSettled(track));
}

/** The sentence over a recording's player while or after its MP4s are made; may be empty. */
export function describeOutcome(
  recording: Pick<Recording, "state" | "reason" | "participants">,
): string {
  const tracks = recording.participants.flatMap((participant) => participant.tracks);
  const outcomes: Record<RecordingState, string> = {
    recording: "This recording is still running. Its MP4s are made when it is stopped.",
    finalizing:
      tracks.length > 1
        ? `Making ${tracks.length} MP4s of what was recorded …`
        : "Making the MP4 of what was recorded …",
    failed: `Not every MP4 could be made: ${recording.reason ?? "the server gave no reason."} What was recorded is kept on the server.`,
    ready: tracks.length === 0 ? "Nothing was recorded." : "",
  };
  return outcomes[recording.state];
}
