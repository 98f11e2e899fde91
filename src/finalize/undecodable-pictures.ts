import { describeSpans } from "../timeline/describe-times.ts";
import type { Span } from "../timeline/spans.ts";
import { inputArguments } from "./ffmpeg-arguments.ts";
import { type FfmpegContext, runPass } from "./ffmpeg-run.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import { missingParameterSets } from "./h264-parameter-sets.ts";
import { type SampleTable, presentedMs, readSampleTables } from "./mp4-sample-tables.ts";
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
 * Only keyframes are decoded, and only where they bring none themselves; all pictures are when one of
 * those does not come by that.
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
  const keyframes = await decodedMs(path, ["-skip_frame", "nokey"], lastMs, context);
  if (keyframes === undefined || keyframes.length === 0) return same;
  const endMs = (count.endMs ?? lastMs) - startMs;
  if (spansWithout(new Set(keyframes), video, bare, endMs).length === 0) return same;
  // Pictures of an open GOP that begin anew are no keyframes for ffmpeg, but decode among the others.
  const pictures = await decodedMs(path, [], lastMs, context);
  if (pictures === undefined) return same;
  const spans = spansWithout(new Set(pictures), video, bare, endMs);
  if (spans.length === 0) return same;
  const text =
    `The pictures from ${describeSpans(spans)} of the segment cannot be decoded: what a decoder needs for ` +
    "them was not recorded, as when a browser's picture changes its size in MP4 of avc1. Everything else " +
    "was kept, and they are in the source, which can be downloaded. Recording as avc3, or as WebM, avoids it.";
  const holes = spans.map(({ fromMs, toMs }) => damaged(startMs + fromMs, startMs + toMs));
  const all = [...count.holes, ...holes].toSorted((one, other) => one.fromMs - other.fromMs);
  return { count: { ...count, holes: all }, notes: [{ text, isLoss: true }] };
}

/** Times of ffmpeg and of the index are both rounded to milliseconds. */
const ROUNDING_MS = 1;

/**
 * From each keyframe without parameter sets that was not decoded to the next one that was. What an edit list
 * hides is not shown by a decoder either.
 */
function spansWithout(
  decoded: ReadonlySet<number>,
  video: SampleTable,
  bare: ReadonlyMap<number, unknown>,
  endMs: number,
): Span[] {
  const spans: Span[] = [];
  let fromMs: number | undefined;
  for (let i = 0; i < video.count; i += 1) {
    const atMs = presentedMs(video, i);
    if (video.isSync?.[i] === 0 || atMs < 0) continue;
    const isDecoded = [-ROUNDING_MS, 0, ROUNDING_MS].some((ms) =>
      decoded.has(Math.round(atMs) + ms),
    );
    if (isDecoded && fromMs !== undefined) {
      spans.push({ fromMs, toMs: atMs });
      fromMs = undefined;
    } else if (!isDecoded && bare.has(i)) {
      fromMs ??= atMs;
    }
  }
  if (fromMs !== undefined) spans.push({ fromMs, toMs: Math.max(fromMs, endMs) });
  return spans;
}

function damaged(fromMs: number, toMs: number): Hole {
  return { fromMs, toMs, resumesMs: fromMs };
}

/**
 * When the pictures that decode without an error are presented, in whole milliseconds; undefined where ffmpeg
 * fails.
 *
 * @param options of the decoder
 */
async function decodedMs(
  path: string,
  options: readonly string[],
  mediaMs: number,
  context: FfmpegContext,
): Promise<readonly number[] | undefined> {
  const { fpsMode } = context.ffmpeg.abilities;
  const args = [
    ...options,
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
  return [...lines.matchAll(/^0, *-?\d+, *(-?\d+),/gm)].map(([, ms]) => Number(ms));
}
