import { describeSpans } from "../timeline/describe-times.ts";
import { inputArguments } from "./ffmpeg-arguments.ts";
import { type FfmpegContext, runPass } from "./ffmpeg-run.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import { missingParameterSets } from "./h264-parameter-sets.ts";
import { presentedMs, readSampleTables } from "./mp4-sample-tables.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { Hole, StreamCount } from "./source-stream.ts";

/** Of each keyframe ffmpeg writes one line, and none of the pictures. */
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** What a segment's pictures are once it is known which of them can be shown. */
export interface ShownPictures {
  readonly count: StreamCount;
  readonly notes: readonly SegmentNote[];
}

/**
 * Finds where H.264 cannot be decoded for want of its parameter sets, which nothing else tells: when
 * what it records changes its size, the MP4 of `avc1` that Chromium writes leaves the new ones out.
 * Only keyframes are decoded, and only where they bring none themselves.
 * What a build of ffmpeg that fails has to say of it is left unsaid: the media are as good as before.
 *
 * @param path a segment's own MP4, whose zero is its begin
 * @param count of its pictures
 * @returns the count with holes from each keyframe that is damaged to the next one that is not
 * @throws SubprocessTimeoutError, SubprocessNotStartedError, file system errors, the signal's reason
 */
export async function withoutUndecodable(
  path: string,
  count: StreamCount,
  startMs: number,
  context: FfmpegContext,
): Promise<ShownPictures> {
  const video = (await readSampleTables(path))?.video;
  const same = { count, notes: [] };
  if (video?.entries[0]?.toString("latin1", 4, 8) !== "avc1") return same;
  const bare = await missingParameterSets(0, path, video);
  if (bare.size < 2) return same;
  const lastMs = count.lastMs ?? 0;
  const decoded = await decodedKeyframesMs(path, lastMs, context);
  if (decoded === undefined || decoded.size === 0) return same;
  const endMs = (count.endMs ?? lastMs) - startMs;
  const holes: Hole[] = [];
  let fromMs: number | undefined;
  for (let i = 0; i < video.count; i += 1) {
    if (video.isSync?.[i] === 0) continue;
    const atMs = presentedMs(video, i);
    // Both are rounded.
    const isDecoded = [-1, 0, 1].some((ms) => decoded.has(Math.round(atMs) + ms));
    if (isDecoded && fromMs !== undefined) {
      holes.push(damaged(startMs + fromMs, startMs + atMs));
      fromMs = undefined;
    } else if (!isDecoded && bare.has(i)) {
      fromMs ??= atMs;
    }
  }
  if (fromMs !== undefined) holes.push(damaged(startMs + fromMs, startMs + endMs));
  if (holes.length === 0) return same;
  const spans = holes.map((hole) => ({ fromMs: hole.fromMs - startMs, toMs: hole.toMs - startMs }));
  const text =
    `The pictures changed their size, and the browser did not record what is needed to decode the new ` +
    `ones (${describeSpans(spans)} of the segment): they are damaged. Everything else was kept. ` +
    "Recording as avc3, or as WebM, avoids it.";
  const all = [...count.holes, ...holes].toSorted((a, b) => a.fromMs - b.fromMs);
  return { count: { ...count, holes: all }, notes: [{ text, isLoss: true }] };
}

function damaged(fromMs: number, toMs: number): Hole {
  return { fromMs, toMs, resumesMs: fromMs };
}

/** When the keyframes that decode without an error are presented, in whole milliseconds; undefined where ffmpeg fails. */
async function decodedKeyframesMs(
  path: string,
  mediaMs: number,
  context: FfmpegContext,
): Promise<ReadonlySet<number> | undefined> {
  const { fpsMode } = context.ffmpeg.abilities;
  const args = [
    "-skip_frame",
    "nokey",
    // What is concealed is not given.
    "-err_detect",
    "explode",
    "-copyts",
    ...inputArguments("mp4", { path }),
    "-map",
    "0:v:0",
    ...(fpsMode ? ["-fps_mode:v", "passthrough"] : ["-vsync", "0"]),
    "-enc_time_base:v",
    "1:1000",
    "-max_error_rate",
    "1",
    "-f",
    "framecrc",
    "pipe:1",
  ];
  let lines = "";
  const decoder = new TextDecoder();
  const onOutput = (bytes: Uint8Array): void => {
    lines += decoder.decode(bytes, { stream: true });
  };
  try {
    await runPass({ args, mediaMs, outputBytesMax: OUTPUT_BYTES_MAX, onOutput }, context);
  } catch (error) {
    if (error instanceof FfmpegFailedError) return undefined;
    throw error;
  }
  return new Set([...lines.matchAll(/^0, *-?\d+, *(-?\d+),/gm)].map(([, ms]) => Number(ms)));
}
