import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SubprocessTimeoutError } from "../process/subprocess.ts";
import type { SegmentReader } from "../recording/ports.ts";
import type { FfmpegTask } from "./ffmpeg-arguments.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import { FinalizeError } from "./finalize-errors.ts";
import { leadingNotes } from "./leading-pictures.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import { countsOf, filteredPayloads, streamsOf } from "./matroska-source.ts";
import { settleMp4Index } from "./mp4-index.ts";
import { writePayloads } from "./mp4-source.ts";
import type { JoinTargets } from "./remux-plan.ts";
import {
  type RemuxContext,
  type SegmentMedia,
  containerOf,
  damageOf,
  indexBytesMaxOf,
  planOrThrow,
  verified,
  withPackets,
} from "./segment-remux.ts";
import { soundsOf } from "./source-stream.ts";

/**
 * Segments that one ffmpeg makes. Its start costs as much as copying minutes of media; newer builds have
 * two threads for each segment, whose stacks count as its memory.
 */
const BATCH_SEGMENTS_MAX = 16;

/** A larger segment is not worth it: it would be written to the disk once more. */
const BATCHED_SEGMENT_BYTES_MAX = 4 * 1024 * 1024;

/**
 * The numbers of segments that can be made together, in order; one that stands alone is made by itself.
 * Pure.
 *
 * @param bytes of each segment; undefined of those that are made by themselves in any case
 */
export function batchesOf(bytes: readonly (number | undefined)[]): number[][] {
  const batches: number[][] = [];
  let small: number[] = [];
  for (const [i, own] of bytes.entries()) {
    if (own === undefined || own > BATCHED_SEGMENT_BYTES_MAX) {
      batches.push([i]);
      continue;
    }
    small.push(i);
    if (small.length < BATCH_SEGMENTS_MAX) continue;
    batches.push(small);
    small = [];
  }
  return small.length === 0 ? batches : [...batches, small];
}

/**
 * Verified MP4s of several short segments, made by one run of ffmpeg; undefined for those that it did
 * not make as they must be, whose reason making them by themselves will tell.
 *
 * @throws SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the signal's reason
 */
export async function remuxBatch(
  readers: readonly SegmentReader[],
  targets: JoinTargets,
  context: RemuxContext,
): Promise<(SegmentMedia | undefined)[]> {
  const prepared: (Prepared | undefined)[] = [];
  try {
    for (const reader of readers) {
      prepared.push(await orUndefined(() => prepare(reader, targets, context)));
    }
    const present = prepared.filter((item) => item !== undefined);
    if (present.length === 0 || !(await runs(present, context)))
      return readers.map(() => undefined);
    const made: (SegmentMedia | undefined)[] = [];
    for (const item of prepared) {
      made.push(item === undefined ? undefined : await orUndefined(() => check(item)));
    }
    return made;
  } finally {
    const sources = prepared.flatMap((item) => item?.task.input.path ?? []);
    await Promise.all(sources.map((path) => rm(path, { force: true })));
  }
}

/** A segment whose bytes have gone through the filter. */
interface Prepared {
  readonly reader: SegmentReader;
  readonly task: Omit<FfmpegTask, "abilities"> & { readonly input: { readonly path: string } };
  readonly media: Omit<SegmentMedia, "isIncomplete" | "index">;
}

/** Undefined when another muxer, or an encoder, has to make it. */
async function prepare(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<Prepared | undefined> {
  if ((await containerOf(reader)) !== "matroska") return undefined;
  const { workDirectory, signal } = context;
  const filter = new MatroskaFilter(undefined, true);
  const damagedSequences: number[] = [];
  const onDamaged = (sequence: number): unknown => damagedSequences.push(sequence);
  const sourcePath = join(workDirectory, `${crypto.randomUUID()}.source`);
  await writePayloads(filteredPayloads(reader, filter, onDamaged), sourcePath, signal);
  const counts = countsOf(filter);
  const streams = withPackets(streamsOf(filter), counts);
  const plan = planOrThrow(streams, context, targets);
  if (plan.muxer !== "ffmpeg" || plan.action !== "copy" || soundsOf(streams).length > 1) {
    await rm(sourcePath, { force: true });
    return undefined;
  }
  const path = join(workDirectory, `${crypto.randomUUID()}.mp4`);
  return {
    reader,
    task: {
      container: "matroska",
      input: { path: sourcePath },
      plan,
      moovBytes: indexBytesMaxOf(counts),
      picture: undefined,
      outputPath: path,
    },
    media: {
      path,
      plan,
      counts,
      damage: damageOf(reader, damagedSequences, filter.droppedBytes),
      chunkEnds: [...filter.chunkEnds],
      notes: leadingNotes(counts),
    },
  };
}

/** Whether ffmpeg came to a good end. */
async function runs(
  prepared: readonly Prepared[],
  { ffmpeg, confinement, limits, signal, leaveOut }: RemuxContext,
): Promise<boolean> {
  const ended = await orUndefined(async () => {
    await runFfmpeg({
      ffmpeg,
      confinement,
      limits,
      tasks: prepared.map(({ task }) => task),
      input: undefined,
      inputBytes: prepared.reduce((sum, { reader }) => sum + reader.state.bytes, 0),
      onMediaMs: () => {},
      signal,
    });
    return true;
  }, leaveOut !== undefined);
  return ended ?? false;
}

async function check({ reader, media }: Prepared): Promise<SegmentMedia | undefined> {
  const index = await settleMp4Index(media.path);
  return index === undefined ? undefined : verified({ ...media, index }, reader);
}

/** What `attempt` gives; undefined when the segment is at fault, or ffmpeg. */
async function orUndefined<T>(
  attempt: () => Promise<T>,
  isTimeUpToo = false,
): Promise<T | undefined> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof FinalizeError) return undefined;
    if (isTimeUpToo && error instanceof SubprocessTimeoutError) return undefined;
    throw error;
  }
}
