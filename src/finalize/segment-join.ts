import { join } from "node:path";
import type { SegmentReader } from "../recording/ports.ts";
import { FfmpegFailedError, FinalizeError, MediaMismatchError } from "./finalize-errors.ts";
import { muxByMediabunny } from "./mediabunny-mux.ts";
import { type SourceCounts, checkMedia } from "./media-check.ts";
import { segmentBeginMs } from "./segment-begin.ts";
import { settleMp4Index } from "./mp4-index.ts";
import type { RemuxPlan } from "./remux-plan.ts";
import {
  type PictureSize,
  type RemuxContext,
  type SegmentMedia,
  evenUp,
  remuxSegment,
  segmentStreams,
} from "./segment-remux.ts";
import type { SourceStreams, StreamCount } from "./source-stream.ts";

/** What became of a segment: it is in the MP4, or nothing can be made of it, and why. */
export type SegmentOutcome = SegmentMedia | { readonly unusable: string };

/** The MP4 of a track, verified, with what became of each segment, in the order of the readers. */
export interface JoinedMedia extends Omit<SegmentMedia, "damage"> {
  readonly segments: readonly SegmentOutcome[];
}

/** Share of the work that is making each segment's MP4; the rest is joining them. */
const REMUX_SHARE = 0.8;

/**
 * Makes one MP4 of a track's segments. They are copied together when their streams agree in codecs
 * and parameters, and are made H.264 and AAC first when they do not. Between them stays the gap that
 * was between them on the clock. A segment of which nothing can be made does not keep the others
 * from being delivered; when that is so of all, the track fails with the first one's reason.
 *
 * @param readers in the order in which the segments began; at least one
 * @throws what `remuxSegment` throws
 */
export async function joinSegments(
  readers: readonly SegmentReader[],
  context: RemuxContext,
): Promise<JoinedMedia> {
  const [first, ...others] = readers;
  if (first === undefined) throw new RangeError("There is no segment to make an MP4 of.");
  if (others.length === 0) {
    const media = await remuxSegment(first, undefined, context);
    return { ...media, segments: [media] };
  }
  const parts: Part[] = [];
  for (const reader of readers) {
    parts.push({ reader, found: await orUnusable(() => segmentStreams(reader, context)) });
  }
  const streams = parts.flatMap(({ found }) => (found instanceof FinalizeError ? [] : [found]));
  // One that is left alone differs from no other.
  const uniform = streams.length < 2 || agree(streams) ? undefined : largestPicture(streams);
  const outcomes: (SegmentMedia | FinalizeError)[] = [];
  for (const [i, { reader, found }] of parts.entries()) {
    const onProgress = (share: number): void =>
      context.onProgress(((i + share) / readers.length) * REMUX_SHARE);
    outcomes.push(
      found instanceof FinalizeError
        ? found
        : await orUnusable(() => remuxSegment(reader, uniform, { ...context, onProgress })),
    );
  }
  const segments = outcomes.map((outcome): SegmentOutcome =>
    outcome instanceof FinalizeError ? { unusable: unusableWords(outcome) } : outcome,
  );
  const made = readers.flatMap((reader, i): Made[] => {
    const media = outcomes[i];
    return media === undefined || media instanceof FinalizeError ? [] : [{ reader, media }];
  });
  const [only, ...more] = made;
  if (only === undefined) {
    const error = outcomes.find((outcome) => outcome instanceof FinalizeError);
    throw error ?? new RangeError("Neither an MP4 nor a reason came of any segment.");
  }
  if (more.length === 0) return { ...only.media, segments };
  return { ...(await joinParts(made, context)), segments };
}

/** A segment with its streams, or why they cannot be told. */
interface Part {
  readonly reader: SegmentReader;
  readonly found: SourceStreams | FinalizeError;
}

/** A segment with its own MP4. */
interface Made {
  readonly reader: SegmentReader;
  readonly media: SegmentMedia;
}

/** What `attempt` gives, or the error that it would fail with however often it is tried. */
async function orUnusable<T>(attempt: () => Promise<T>): Promise<T | FinalizeError> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof FinalizeError && error.isPermanent) return error;
    throw error;
  }
}

function unusableWords({ message }: FinalizeError): string {
  return `could not be used: ${message.replace(/\.$/, "")}`;
}

async function joinParts(
  made: readonly Made[],
  { workDirectory, signal, onProgress }: RemuxContext,
): Promise<Omit<JoinedMedia, "segments">> {
  const segments = made.map(({ media }) => media);
  const offsetsMs = segmentOffsetsMs(
    await Promise.all(made.map(({ reader }) => segmentBeginMs(reader))),
    segments.map(({ index }) => Math.max(0, ...index.tracks.map(({ endMs }) => endMs ?? 0))),
  );
  const parts = segments.map(({ path, index }, i) => ({
    path,
    index,
    offsetMs: offsetsMs[i] ?? 0,
  }));
  const counts: SourceCounts = {
    video: sumCounts(parts, "video"),
    audio: sumCounts(parts, "audio"),
  };
  const path = join(workDirectory, `${crypto.randomUUID()}.mp4`);
  const endMs = Math.max(1, counts.video?.lastMs ?? 0, counts.audio?.lastMs ?? 0);
  await muxByMediabunny({
    inputs: parts,
    outputPath: path,
    videoPackets: counts.video?.packets ?? 0,
    audioPackets: counts.audio?.packets ?? 0,
    onMediaMs: (mediaMs) =>
      onProgress(Math.min(1, REMUX_SHARE + (mediaMs / endMs) * (1 - REMUX_SHARE))),
    signal,
  });
  const index = await settleMp4Index(path);
  if (index === undefined) throw new FfmpegFailedError("a file without an index", "");
  const plan = joinedPlan(segments);
  const copied: RemuxPlan = { ...plan, ...asCopied(plan) };
  const findings = checkMedia(copied, counts, index, false);
  if (findings.length > 0) throw new MediaMismatchError(findings);
  return { path, plan, counts, index };
}

/**
 * When each segment begins in the MP4: as far after the first as it began after it, but never before
 * the one before it has ended.
 */
export function segmentOffsetsMs(
  beganAtMs: readonly number[],
  durationsMs: readonly number[],
): number[] {
  const offsets: number[] = [];
  let earliest = 0;
  for (const [i, beganMs] of beganAtMs.entries()) {
    const offset = Math.max(earliest, beganMs - (beganAtMs[0] ?? 0));
    offsets.push(offset);
    earliest = offset + (durationsMs[i] ?? 0);
  }
  return offsets;
}

function agree(streams: readonly SourceStreams[]): boolean {
  return (["video", "audio"] as const).every((kind) => {
    const present = streams.flatMap((stream) => stream[kind] ?? []);
    return present.every(
      ({ parameters, width, height, codec }) =>
        codec !== "vp8" &&
        parameters === present[0]?.parameters &&
        width === present[0].width &&
        height === present[0].height,
    );
  });
}

function largestPicture(streams: readonly SourceStreams[]): PictureSize {
  return {
    width: evenUp(Math.max(2, ...streams.map(({ video }) => video?.width ?? 0))),
    height: evenUp(Math.max(2, ...streams.map(({ video }) => video?.height ?? 0))),
  };
}

/** What the segments' verified MP4s hold together, at their places in the joined one. */
function sumCounts(
  parts: readonly { readonly index: SegmentMedia["index"]; readonly offsetMs: number }[],
  kind: "video" | "audio",
): StreamCount | undefined {
  const tracks = parts.flatMap(({ index, offsetMs }) => {
    const track = index.tracks.find((candidate) => candidate.kind === kind);
    return track === undefined ? [] : [{ track, offsetMs }];
  });
  if (tracks.length === 0) return undefined;
  const packets = tracks.reduce((sum, { track }) => sum + track.samples, 0);
  return {
    packets,
    visiblePackets: packets,
    bytes: tracks.reduce((sum, { track }) => sum + track.bytes, 0),
    firstMs: Math.min(...tracks.map(({ track, offsetMs }) => (track.firstMs ?? 0) + offsetMs)),
    lastMs: Math.max(...tracks.map(({ track, offsetMs }) => (track.lastMs ?? 0) + offsetMs)),
    endMs: Math.max(...tracks.map(({ track, offsetMs }) => (track.endMs ?? 0) + offsetMs)),
    holes: [],
  };
}

function joinedPlan(segments: readonly SegmentMedia[]): RemuxPlan {
  const plans = segments.map(({ plan }) => plan);
  const reasons = plans.flatMap(({ video, audio }) => [video?.reason ?? [], audio?.reason ?? []]);
  const unique = [...new Set(reasons.flat())];
  return {
    video: plans.find(({ video }) => video !== undefined)?.video,
    audio: plans.find(({ audio }) => audio !== undefined)?.audio,
    action: plans.some(({ action }) => action === "transcode") ? "transcode" : "copy",
    reason: `${segments.length} segments were joined. ${unique.join(" ")}`,
    muxer: "mediabunny",
  };
}

/** Joining copies what each segment's own MP4 holds, whatever was done to make that. */
function asCopied({ video, audio }: RemuxPlan): Pick<RemuxPlan, "video" | "audio" | "action"> {
  return {
    video: video === undefined ? undefined : { ...video, action: "copy" },
    audio: audio === undefined ? undefined : { ...audio, action: "copy" },
    action: "copy",
  };
}
