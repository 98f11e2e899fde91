import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import type { RecordingId } from "../../src/contract/ids.ts";
import { AppError } from "../../src/recording/errors.ts";
import type { FinalizerBed } from "./finalizer-bed.ts";
import { trackKey } from "./finalizer-bed.ts";
import type { Mutant } from "./media-mutants.ts";

/** How a mutant ended. */
export interface TrialOutcome {
  readonly end: "refused" | "complete" | "degraded" | "lost" | "failed";
  /** Null for `complete` alone. */
  readonly reason: string | null;
  /** From the stop of its recording. */
  readonly tookMs: number;
  /** The published file; null when there is none. */
  readonly media: Uint8Array | null;
  /** What lies in the track's directory afterwards. */
  readonly files: readonly string[];
}

/** Sends a mutant as a recording of its own, stops it, waits for the end and deletes it. */
export async function tryMutant(bed: FinalizerBed, mutant: Mutant): Promise<TrialOutcome> {
  const { recordingId } = await bed.engine.startRecording({});
  let refusal: string | undefined;
  try {
    await bed.send(recordingId, mutant);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    refusal = error.message;
  }
  const beganMs = performance.now();
  await bed.engine.stopRecording(recordingId);
  await bed.untilState(recordingId, "ready", "failed");
  const tookMs = performance.now() - beganMs;
  const outcome = await outcomeOf(bed, recordingId, refusal, tookMs);
  await bed.engine.deleteRecording(recordingId);
  return outcome;
}

async function outcomeOf(
  bed: FinalizerBed,
  recordingId: RecordingId,
  refusal: string | undefined,
  tookMs: number,
): Promise<TrialOutcome> {
  const key = trackKey(recordingId);
  const [track] = await bed.catalog.tracks(recordingId);
  const file = Bun.file(bed.layout.mediaPath(key));
  const hasDirectory = (await bed.store.list(recordingId)).length > 0 && (await file.exists());
  const files = hasDirectory ? await readdir(bed.layout.trackDirectory(key)) : [];
  const media = (await file.exists()) ? await file.bytes() : null;
  if (track === undefined) {
    return { end: "refused", reason: refusal ?? null, tookMs, media, files };
  }
  const { job, result } = track;
  if (job?.state === "failed") return { end: "failed", reason: job.error, tookMs, media, files };
  if (result === null) throw new Error(`${recordingId} ended without a result.`);
  return { end: result.verdict, reason: result.reason, tookMs, media, files };
}

const CHILD_POLL_MS = 10;

/**
 * The most memory that any child of this process has resident while it is watched, looked at every
 * 10 ms. What the system tells of ended children (getrusage(2)) would not do: it counts the memory of
 * this process too, which a child shares until it begins its own program.
 */
export class ChildMemoryWatch implements Disposable {
  /** Undefined while none was seen, and where it is not known: on all but Linux. */
  largestBytes: number | undefined;
  readonly #timer = setInterval(() => this.#look(), CHILD_POLL_MS);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const children = readIfThere(`/proc/self/task/${process.pid}/children`);
    for (const pid of children.split(" ").filter((word) => word !== "")) {
      const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readIfThere(`/proc/${pid}/status`))?.[1];
      if (kibibytes === undefined) continue;
      this.largestBytes = Math.max(this.largestBytes ?? 0, Number(kibibytes) * 1_024);
    }
  }
}

/** Nothing when the process has ended, or the system has no such file. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}
