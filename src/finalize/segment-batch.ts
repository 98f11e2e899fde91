import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SubprocessTimeoutError } from "../process/subprocess.ts";
import type { SegmentReader } from "../recording/ports.ts";
import type { FfmpegTask } from "./ffmpeg-arguments.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import { FinalizeError } from "./finalize-errors.ts";
import { settleMp4Index } from "./mp4-index.ts";
import type { JoinTargets } from "./remux-plan.ts";
import {
  type RemuxContext,
  type SegmentMedia,
  indexBytesMaxOf,
  planOrThrow,
  wholeMedia,
} from "./segment-media.ts";
import { soundsOf } from "./source-stream.ts";
import { containerOf, writeSource } from "./segment-source.ts";

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

/** A segment whose usable bytes are in a file. */
interface Prepared {
  readonly task: Omit<FfmpegTask, "abilities"> & { readonly input: { readonly path: string } };
  readonly inputBytes: number;
  readonly media: Omit<SegmentMedia, "index" | "notes" | "hasAsCounted">;
}

/** Undefined when another muxer, or an encoder, has to make it. */
async function prepare(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<Prepared | undefined> {
  if ((await containerOf(reader)) !== "matroska") return undefined;
  const source = await writeSource(reader, "matroska", context);
  const { streams, counts, damage, chunkEnds } = source;
  const plan = planOrThrow(streams, context, targets);
  if (plan.muxer !== "ffmpeg" || plan.action !== "copy" || soundsOf(streams).length > 1) {
    await rm(source.path, { force: true });
    return undefined;
  }
  const path = join(context.workDirectory, `${crypto.randomUUID()}.mp4`);
  return {
    inputBytes: reader.state.bytes,
    task: {
      container: "matroska",
      input: { path: source.path },
      plan,
      moovBytes: indexBytesMaxOf(counts, plan),
      picture: undefined,
      outputPath: path,
    },
    media: { path, plan, counts, damage, chunkEnds, isIncomplete: source.isIncomplete },
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
      inputBytes: prepared.reduce((sum, own) => sum + own.inputBytes, 0),
      onMediaMs: () => {},
      signal,
    });
    return true;
  }, leaveOut !== undefined);
  return ended ?? false;
}

async function check({ media }: Prepared): Promise<SegmentMedia | undefined> {
  const index = await settleMp4Index(media.path);
  const whole = index && wholeMedia({ ...media, index });
  if (whole === undefined) await rm(media.path, { force: true });
  return whole;
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
