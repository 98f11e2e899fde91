import type { StreamKind } from "../contract/marks.ts";
import { hasDoubtfulParameters } from "./decoder-doubts.ts";
import type { Mp4Index, Mp4Track } from "./mp4-index.ts";
import type { RemuxPlan, StreamPlan } from "./remux-plan.ts";
import type { StreamCount } from "./source-stream.ts";

/** What the chunks hold of each stream. */
export interface SourceCounts {
  readonly video: StreamCount | undefined;
  readonly audio: StreamCount | undefined;
  /** Of `SourceStreams.others`, in the same order. */
  readonly others?: readonly StreamCount[];
}

/**
 * How far the span of a stream may differ: Matroska counts in whole milliseconds and MP4 in finer
 * ticks, so that a copy differs by rounding alone; 40 ms is a picture at 25 frames/s.
 */
export const SPAN_DIFFERENCE_MS_MAX = 40;

/** A copy leaves picture and sound where they are, but for rounding of both to milliseconds. */
export const COPY_SKEW_MS_MAX = 2;

/** ITU-R BT.1359 puts the first notice of bad lip-sync at 45 ms: less than half of that. */
export const TRANSCODE_SKEW_MS_MAX = 20;

/** What ffmpeg's AAC encoder puts before the sound (`initial_padding` in libavcodec/aacenc.c). */
const AAC_PRIMING_SAMPLES = 1_024;

/** One thing in which an MP4 does not agree with its source. */
export interface Finding {
  /** Undefined when it is about the file as a whole, or about both streams. */
  readonly stream: StreamKind | undefined;
  /**
   * A file with a fault of `structure` is of no use; all else can be played, if not all of it. With a
   * `doubt` nothing disagrees, but a decoder may be able to show nothing.
   */
  readonly kind: "structure" | "absent" | "count" | "bytes" | "span" | "skew" | "place" | "doubt";
  /** Part of a sentence. */
  readonly text: string;
}

/** Whether a file with these findings must not be given to anybody. */
export function isUnplayable(findings: readonly Finding[]): boolean {
  return findings.some(({ kind }) => kind === "structure");
}

const STREAM_NAMES: Readonly<Record<StreamKind, string>> = { video: "picture", audio: "sound" };

function structure(text: string): Finding {
  return { stream: undefined, kind: "structure", text };
}

/**
 * Compares an MP4 with what its source holds, as counted without ffmpeg. Gives each thing that does not
 * agree. None means that all of it is in the MP4; the other way round that is not so: a decoder can show
 * the same of two files whose counts differ. Pure.
 *
 * @param isDamaged parts of the source are missing, so that pictures which need them may not decode
 */
export function checkMedia(
  plan: RemuxPlan,
  counts: SourceCounts,
  index: Mp4Index,
  isDamaged: boolean,
): Finding[] {
  const findings: Finding[] = [];
  if (!index.isBeforeMedia) findings.push(structure("its index stands behind the media"));
  if (!index.samplesAreInMedia) findings.push(structure("its index points outside the media"));
  const video = index.tracks.find(({ kind }) => kind === "video");
  const audio = index.tracks.find(({ kind }) => kind === "audio");
  findings.push(
    ...checkStream("video", plan.video, counts.video, video, isDamaged),
    ...checkStream("audio", plan.audio, counts.audio, audio, isDamaged),
  );
  if (findings.length === 0) findings.push(...checkSkew(plan, counts, video, audio));
  return findings;
}

function checkStream(
  stream: StreamKind,
  plan: StreamPlan | undefined,
  count: StreamCount | undefined,
  track: Mp4Track | undefined,
  isDamaged: boolean,
): Finding[] {
  const name = STREAM_NAMES[stream];
  if (plan === undefined || count === undefined) {
    const text = `it has a ${name} that was not planned`;
    return track === undefined ? [] : [{ stream, kind: "structure", text }];
  }
  if (track === undefined || track.samples === 0) {
    return [{ stream, kind: "absent", text: `it has no ${name}` }];
  }
  const findings: Finding[] = [];
  const { samples, bytes } = track;
  if (plan.action === "copy") {
    if (samples !== count.packets) {
      const text = `${name} has ${samples} packets, the chunks have ${count.packets}`;
      findings.push({ stream, kind: "count", text });
    } else if (comparesBytes(plan) && count.bytes !== undefined && bytes !== count.bytes) {
      const text = `${name} has ${bytes} bytes, the chunks have ${count.bytes}`;
      findings.push({ stream, kind: "bytes", text });
    }
  } else if (stream === "video") {
    const isWhole = isDamaged ? samples <= count.visiblePackets : samples === count.visiblePackets;
    if (!isWhole) {
      const text = `${name} has ${samples} frames, the chunks have ${count.visiblePackets}`;
      findings.push({ stream, kind: "count", text });
    }
  }
  if (plan.action === "copy" && hasDoubtfulParameters(plan.source)) {
    findings.push({ stream, kind: "doubt", text: `${name} has parameters that look damaged` });
  }
  if (!(isDamaged && plan.action === "transcode")) {
    const text = checkSpan(name, plan, count, track);
    if (text !== undefined) findings.push({ stream, kind: "span", text });
  }
  return findings;
}

/** An encoder cuts sound into frames of its own and primes itself: only start and end compare. */
function isRecut(plan: StreamPlan): boolean {
  return plan.action === "transcode" && plan.source.kind === "audio";
}

/** When what was recorded begins: after the priming that an encoder puts before it. */
export function contentStartMs(firstMs: number, plan: StreamPlan, track: Mp4Track): number {
  if (!isRecut(plan)) return firstMs;
  return firstMs + (AAC_PRIMING_SAMPLES / track.ticksPerSecond) * 1_000;
}

/**
 * Muxers leave AV1's temporal delimiters out (AV1-ISOBMFF, 2.4), so its bytes become fewer, and put lengths
 * of four bytes in the place of start codes, so those of Annex B become more.
 */
function comparesBytes({ codec, source }: StreamPlan): boolean {
  return codec !== "av1" && source.isAnnexB !== true;
}

/** When the packets of a copy begin: with what its decoder warms up on, which encoding anew leaves out. */
function packetsFromMs(
  { action }: Pick<StreamPlan, "action">,
  count: StreamCount | undefined,
): number | undefined {
  if (count?.firstMs === undefined) return undefined;
  return count.firstMs - (action === "copy" ? (count.primingMs ?? 0) : 0);
}

function checkSpan(
  name: string,
  plan: StreamPlan,
  count: StreamCount,
  track: Mp4Track,
): string | undefined {
  if (
    count.firstMs === undefined ||
    count.lastMs === undefined ||
    track.firstMs === undefined ||
    track.lastMs === undefined ||
    track.endMs === undefined
  ) {
    return `${name} has no times`;
  }
  const sourceMs = count.lastMs - (packetsFromMs(plan, count) ?? count.firstMs);
  const mediaMs =
    (isRecut(plan) ? track.endMs : track.lastMs) - contentStartMs(track.firstMs, plan, track);
  const isRight = isRecut(plan)
    ? mediaMs >= sourceMs - plan.source.preSkipMs - SPAN_DIFFERENCE_MS_MAX
    : Math.abs(mediaMs - sourceMs) <= SPAN_DIFFERENCE_MS_MAX;
  return isRight
    ? undefined
    : `${name} spans ${Math.round(mediaMs)} ms, in the chunks ${Math.round(sourceMs)} ms`;
}

function checkSkew(
  plan: RemuxPlan,
  counts: SourceCounts,
  video: Mp4Track | undefined,
  audio: Mp4Track | undefined,
): Finding[] {
  if (audio?.firstMs === undefined || plan.audio === undefined) return [];
  const sourceMs = difference(
    packetsFromMs(plan.video ?? plan.audio, counts.video),
    packetsFromMs(plan.audio, counts.audio),
  );
  const audioMs = contentStartMs(audio.firstMs, plan.audio, audio);
  const mediaMs = difference(video?.firstMs, audioMs);
  if (sourceMs === undefined || mediaMs === undefined) return [];
  const skewMs = mediaMs - sourceMs;
  const skewMsMax = plan.action === "copy" ? COPY_SKEW_MS_MAX : TRANSCODE_SKEW_MS_MAX;
  // Decoded sound can begin later by what its decoder warms up on; it stays in its place in time.
  const lateSoundMsMax = isRecut(plan.audio) ? plan.audio.source.preSkipMs : 0;
  if (skewMs <= skewMsMax && skewMs >= -(skewMsMax + lateSoundMsMax)) return [];
  const text = `picture and sound are ${Math.abs(skewMs).toFixed(1)} ms apart`;
  return [{ stream: undefined, kind: "skew", text }];
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a - b;
}
