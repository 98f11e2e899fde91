import type {
  PendingProgress,
  PendingSegment,
  RecorderErrorCode,
  RetryCause,
} from "../recorder/recorder.d.ts";
import { describeRetry } from "./describe-retry.ts";
import type { Safety } from "./describe-safety.ts";
import { formatBytes } from "./format-bytes.ts";
import { formatSpan } from "./format-duration.ts";

/** What earlier visits left in this browser, at one moment. */
export interface LeftUploads {
  readonly segments: readonly Pick<PendingSegment, "chunks" | "state">[];
  readonly progress: PendingProgress;
  readonly isFinished: boolean;
  /** Why uploads fail at the moment, in a sentence; they are repeated until they succeed. */
  readonly trouble: string | null;
  /** What they wait for, where there is trouble and that is known. */
  readonly troubleCause?: RetryCause | undefined;
}

/** Says in words what becomes of it. */
export function describeLeftUploads(left: LeftUploads): Safety {
  const { pending, acknowledged } = left.progress;
  const waiting = `${formatSpan(pending.seconds * 1_000)} (${formatBytes(pending.bytes)})`;
  const refused = left.segments.filter(({ state }) => state === "refused").length;
  if (!left.isFinished && left.trouble !== null) {
    const words = describeRetry(left.trouble, left.troubleCause);
    const sentence = `${words.sentence} ${waiting} that an earlier visit recorded are on this computer's disk, and are sent as soon as it answers, while this page is open or the next time.`;
    return { tone: "warning", headline: words.headline, sentence };
  }
  if (!left.isFinished) {
    const sentence = `${waiting} that an earlier visit recorded are still on this computer's disk and are being sent now. Keep this page open.`;
    return { tone: "working", headline: "Saving what an earlier visit left", sentence };
  }
  if (refused > 0) {
    const sentence =
      "The server does not take what is listed here, which an earlier visit recorded. It stays on this computer until you remove it.";
    return { tone: "danger", headline: "Not everything could be saved", sentence };
  }
  if (left.segments.some(({ state }) => state === "waiting")) {
    const sentence = `${waiting} that an earlier visit recorded are still on this computer's disk. They are sent the next time that this page is opened.`;
    return { tone: "warning", headline: "Not everything is saved yet", sentence };
  }
  const saved = `${formatSpan(acknowledged.seconds * 1_000)} (${formatBytes(acknowledged.bytes)})`;
  const sentence =
    acknowledged.chunks === 0
      ? "Everything that an earlier visit recorded is saved on the server."
      : `Everything that an earlier visit recorded is saved on the server: the last ${saved} have just been sent.`;
  return { tone: "safe", headline: "Everything left is saved", sentence };
}

/** Why the server does not take a segment. */
export function describeLeftRefusal(error: {
  readonly code: RecorderErrorCode;
  readonly message: string;
}): string {
  switch (error.code) {
    case "recording-not-found":
    case "recording-closed":
      return "The recording was deleted on the server, or was stopped too long ago.";
    case "spool-failed":
      return "A part of it cannot be read from this computer's disk.";
    default:
      return `The server refused it: ${error.message}`;
  }
}

/** Name of a file that holds what is left of a segment. */
export function leftFileName(
  { participantId, trackId }: { readonly participantId: string; readonly trackId: string },
  mimeType: string,
): string {
  const subtype = /^\w+\/([\w-]+)/.exec(mimeType)?.[1] ?? "";
  const extension = subtype === "x-matroska" ? "mkv" : subtype === "mp4" ? "mp4" : "webm";
  // What no file system takes.
  const name = `${participantId} ${trackId}`.replaceAll(/[^\p{L}\p{N}@._ -]/gu, "_");
  return `${name} (unsaved part).${extension}`;
}
