import type { RetryCause } from "../recorder/recorder.d.ts";
import { describeRetry } from "./describe-retry.ts";
import { formatBytes } from "./format-bytes.ts";
import { formatDuration, formatSpan } from "./format-duration.ts";

/** How much of something there is, over all tracks. */
export interface Amount {
  readonly chunks: number;
  readonly bytes: number;
  /** Of the longest track. */
  readonly durationMs: number;
}

/** What became of what was recorded. */
export interface Amounts {
  readonly recorded: Amount;
  /** On the server's stable storage. */
  readonly acknowledged: Amount;
  readonly pending: Amount;
}

/** A recording session at one moment. */
export interface SessionSnapshot extends Amounts {
  /** `sending`: capturing has ended and what is left is on its way. `ended`: nothing is. */
  readonly phase: "recording" | "paused" | "sending" | "ended";
  /** Each track once, in the order of their starts. */
  readonly tracks: readonly string[];
  /** Since the start, without pauses. */
  readonly elapsedMs: number;
  /** Whether all that is pending is on this computer's disk, so that a closed page loses none. */
  readonly isDurable: boolean;
  /** Whether a recorder still holds a begun chunk: always while it records. */
  readonly holdsBack: boolean;
  /** Why uploads fail at the moment, in a sentence; they are repeated until they succeed. */
  readonly trouble: string | null;
  /** What they wait for, where there is trouble and that is known. */
  readonly troubleCause?: RetryCause | undefined;
  /** Why something will never be saved, in a sentence; null while all goes well. */
  readonly refusal: string | null;
}

/** What the page says about the safety of what is recorded. */
export interface Safety {
  readonly tone: "safe" | "working" | "warning" | "danger";
  /** Changes only with the situation, so it is what a screen reader is told. */
  readonly headline: string;
  readonly sentence: string;
}

/**
 * With at most this much pending, a recorder that hands over a chunk a second has left at most "the
 * newest two seconds" unsaved: the pending chunk and the second that it still holds.
 */
const FLOWING_PENDING_MS_MAX = 1_200;

/**
 * Says in words what is safe. It never says of anything that it is saved unless the server has
 * acknowledged it: while capturing, the newest second is always still inside the recorder.
 */
export function describeSafety(snapshot: SessionSnapshot): Safety {
  const { phase, pending, acknowledged, refusal, trouble, isDurable } = snapshot;
  const where = isDurable ? "on this computer's disk" : "in this page's memory only";
  const waiting = `${formatSpan(pending.durationMs)} (${formatBytes(pending.bytes)})`;
  const saved =
    acknowledged.chunks === 0
      ? "Nothing is saved yet."
      : `Saved up to ${formatDuration(acknowledged.durationMs)}.`;
  if (refusal !== null) {
    // Nothing about what is saved: a refused recording may have been deleted.
    return { tone: "danger", headline: "Not everything could be saved", sentence: refusal };
  }
  if (phase === "ended") {
    const sentence = "Everything recorded is saved on the server. You can close this page.";
    return { tone: "safe", headline: "Everything is saved", sentence };
  }
  if (trouble !== null) {
    const goesOn = phase === "sending" ? "" : "Recording goes on. ";
    const words = describeRetry(trouble, snapshot.troubleCause);
    const sentence = `${words.sentence} ${goesOn}${saved} The other ${waiting} wait ${where} and are sent as soon as it answers. ${keepOpen(isDurable)}`;
    return { tone: "warning", headline: words.headline, sentence };
  }
  if (phase === "sending") {
    const sentence =
      pending.chunks === 0
        ? "The last second is on its way. Keep this page open."
        : `${saved} The last ${waiting} are on their way. Keep this page open.`;
    return { tone: "working", headline: "Saving the rest", sentence };
  }
  if (pending.durationMs > FLOWING_PENDING_MS_MAX) {
    const sentence = `${saved} The other ${waiting} wait ${where} for the connection. ${keepOpen(isDurable)}`;
    return { tone: "working", headline: "Catching up", sentence };
  }
  const headline = phase === "paused" ? "Paused" : "Saving as you record";
  if (acknowledged.chunks === 0) {
    return { tone: "working", headline, sentence: "The first second is on its way." };
  }
  const upTo = snapshot.holdsBack || pending.chunks > 0 ? ", up to the newest two seconds" : "";
  return { tone: "safe", headline, sentence: `Everything recorded so far is saved${upTo}.` };
}

function keepOpen(isDurable: boolean): string {
  return isDurable
    ? "Keep this page open; if it closes all the same, they are sent the next time that it is opened."
    : "Keep this page open: closing it would lose them.";
}
