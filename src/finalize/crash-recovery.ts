import type { Logger } from "pino";
import type { Catalog, JobQueue, RecordingRecord, TrackKey } from "../recording/ports.ts";
import type { RecordingsLayout } from "../storage/layout.ts";
import { removeHalfMadeFiles, removeHalfMadeManifests } from "./half-made-files.ts";
import { isOfTrack } from "../recording/segment-view.ts";

/** What an earlier process left. */
export interface FinalizationsFound {
  /** Runs that it did not end; they are queued again. */
  readonly interrupted: number;
  /** Files of those runs that were removed. */
  readonly halfMadeFiles: number;
  /** Recordings whose end is still to be told. */
  readonly unfinished: readonly RecordingRecord[];
  /** Recordings that had ended; late chunks of them may be there. */
  readonly finished: readonly RecordingRecord[];
}

/** What finding it needs. */
export interface RecoveryParts {
  readonly catalog: Catalog;
  readonly queue: JobQueue;
  readonly layout: RecordingsLayout;
  readonly log: Logger;
}

/** Runs of one job, the last of which ended with a crash, before it counts as failed. */
const CRASHED_ATTEMPTS_MAX = 10;

/**
 * Finds what a crash or a stop left, queues interrupted runs again and removes their files. Reads
 * the catalogue, and of the recordings only directories that interrupted runs worked in.
 *
 * @throws StorageFailedError
 */
export async function recoverFinalizations(parts: RecoveryParts): Promise<FinalizationsFound> {
  const { catalog, queue, layout, log } = parts;
  const interrupted = await queue.requeueInterrupted();
  const unfinished = await catalog.recordingsInState(["finalizing"]);
  const finished = await catalog.recordingsInState(["ready", "failed"]);
  for (const record of finished) {
    // A crash came between the last retry that succeeded and telling so.
    if (record.state === "failed" && (await isDone(record, catalog))) unfinished.push(record);
  }
  let halfMadeFiles = 0;
  const tidyUp = async (
    { recordingId }: Pick<TrackKey, "recordingId">,
    remove: () => Promise<number>,
  ) => {
    try {
      halfMadeFiles += await remove();
    } catch (error) {
      // They are in nobody's way, and the next start tries again.
      log.error({ err: error, recordingId }, "half-made files cannot be removed");
    }
  };
  for (const key of interrupted) {
    await tidyUp(key, () => removeHalfMadeFiles(layout, key));
    await giveUpAfterCrashes(key, parts);
  }
  // The manifest is written after the last run, too.
  for (const record of unfinished) {
    await tidyUp(record, () => removeHalfMadeManifests(layout, record.recordingId));
  }
  return { interrupted: interrupted.length, halfMadeFiles, unfinished, finished };
}

async function isDone({ recordingId }: RecordingRecord, catalog: Catalog): Promise<boolean> {
  const tracks = await catalog.tracks(recordingId);
  return tracks.every(({ job }) => job?.state === "done");
}

/** A track that brings the server down with it must not do so for ever. */
async function giveUpAfterCrashes(key: TrackKey, { queue, log }: RecoveryParts): Promise<void> {
  const jobs = await queue.jobs(key.recordingId);
  const attempts = jobs.find((job) => isOfTrack(job, key))?.attempts ?? 0;
  if (attempts < CRASHED_ATTEMPTS_MAX) return;
  const error = `The server ended ${attempts} times while it made the MP4: it is not tried again by itself.`;
  log.error({ ...key, attempts }, "finalization given up after crashes");
  await queue.finish(key, { state: "failed", error });
}
