import { dlopen, FFIType, ptr } from "bun:ffi";
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

const RUSAGE_CHILDREN = -1;
/** `struct rusage` of 64-bit Linux: two times of 16 bytes, then `ru_maxrss` (getrusage(2)). */
const RUSAGE_BYTES = 144;
const MAXRSS_OFFSET_BYTES = 32;

/**
 * The most memory that any child of this process had resident, in bytes; at least what this process
 * itself has when it starts one, since that is what a child begins with. Undefined where it is not
 * known: on all but Linux.
 */
export function largestChildBytes(): number | undefined {
  if (process.platform !== "linux") return undefined;
  const libc = dlopen("libc.so.6", {
    getrusage: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  });
  try {
    const usage = new Uint8Array(RUSAGE_BYTES);
    if (libc.symbols.getrusage(RUSAGE_CHILDREN, ptr(usage)) !== 0) return undefined;
    return Number(new DataView(usage.buffer).getBigInt64(MAXRSS_OFFSET_BYTES, true)) * 1_024;
  } finally {
    libc.close();
  }
}
