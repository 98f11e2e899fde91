import type { Mp4Index, Mp4Track } from "./mp4-index.ts";
import type { RemuxPlan, StreamPlan } from "./remux-plan.ts";
import type { StreamCount } from "./source-stream.ts";

/** What the chunks hold of each stream. */
export interface SourceCounts {
  readonly video: StreamCount | undefined;
  readonly audio: StreamCount | undefined;
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

/**
 * Compares an MP4 with what its source holds, as counted without ffmpeg. Gives a sentence's part
 * for each thing that does not fit; none means that the MP4 can be published. Pure.
 *
 * @param isDamaged parts of the source are missing, so that pictures which need them may not decode
 */
export function checkMedia(
  plan: RemuxPlan,
  counts: SourceCounts,
  index: Mp4Index,
  isDamaged: boolean,
): string[] {
  const findings: string[] = [];
  if (!index.isBeforeMedia) findings.push("its index stands behind the media");
  if (!index.samplesAreInMedia) findings.push("its index points outside the media");
  const video = index.tracks.find(({ kind }) => kind === "video");
  const audio = index.tracks.find(({ kind }) => kind === "audio");
  findings.push(
    ...checkStream("picture", plan.video, counts.video, video, isDamaged),
    ...checkStream("sound", plan.audio, counts.audio, audio, isDamaged),
  );
  if (findings.length === 0) findings.push(...checkSkew(plan, counts, video, audio));
  return findings;
}

function checkStream(
  name: string,
  plan: StreamPlan | undefined,
  count: StreamCount | undefined,
  track: Mp4Track | undefined,
  isDamaged: boolean,
): string[] {
  if (plan === undefined || count === undefined) {
    return track === undefined ? [] : [`it has a ${name} that was not planned`];
  }
  if (track === undefined) return [`it has no ${name}`];
  const findings: string[] = [];
  if (plan.action === "copy") {
    if (track.samples !== count.packets) {
      findings.push(`${name} has ${track.samples} packets, the chunks have ${count.packets}`);
    } else if (comparesBytes(plan) && count.bytes !== undefined && track.bytes !== count.bytes) {
      findings.push(`${name} has ${track.bytes} bytes, the chunks have ${count.bytes}`);
    }
  } else if (plan.source.kind === "video") {
    const isWhole = isDamaged
      ? track.samples > 0 && track.samples <= count.visiblePackets
      : track.samples === count.visiblePackets;
    if (!isWhole) {
      findings.push(`${name} has ${track.samples} frames, the chunks have ${count.visiblePackets}`);
    }
  }
  if (!(isDamaged && plan.action === "transcode"))
    findings.push(...checkSpan(name, plan, count, track));
  return findings;
}

/** An encoder cuts sound into frames of its own and primes itself: only start and end compare. */
function isRecut(plan: StreamPlan): boolean {
  return plan.action === "transcode" && plan.source.kind === "audio";
}

/** When what was recorded begins: after the priming that an encoder puts before it. */
function contentStartMs(firstMs: number, plan: StreamPlan, track: Mp4Track): number {
  if (!isRecut(plan)) return firstMs;
  return firstMs + (AAC_PRIMING_SAMPLES / track.ticksPerSecond) * 1_000;
}

/** Muxers leave AV1's temporal delimiters out (AV1-ISOBMFF, 2.4), so its bytes become fewer. */
function comparesBytes({ codec }: StreamPlan): boolean {
  return codec !== "av1";
}

/** When the packets of a copy begin: with what its decoder warms up on, which encoding anew leaves out. */
function packetsFromMs(
  { action }: Pick<StreamPlan, "action">,
  count: StreamCount | undefined,
): number | undefined {
  if (count?.firstMs === undefined) return undefined;
  return count.firstMs - (action === "copy" ? (count.primingMs ?? 0) : 0);
}

function checkSpan(name: string, plan: StreamPlan, count: StreamCount, track: Mp4Track): string[] {
  if (
    count.firstMs === undefined ||
    count.lastMs === undefined ||
    track.firstMs === undefined ||
    track.lastMs === undefined ||
    track.endMs === undefined
  ) {
    return [`${name} has no times`];
  }
  const sourceMs = count.lastMs - (packetsFromMs(plan, count) ?? count.firstMs);
  const mediaMs =
    (isRecut(plan) ? track.endMs : track.lastMs) - contentStartMs(track.firstMs, plan, track);
  const isRight = isRecut(plan)
    ? mediaMs >= sourceMs - plan.source.preSkipMs - SPAN_DIFFERENCE_MS_MAX
    : Math.abs(mediaMs - sourceMs) <= SPAN_DIFFERENCE_MS_MAX;
  return isRight
    ? []
    : [`${name} spans ${Math.round(mediaMs)} ms, in the chunks ${Math.round(sourceMs)} ms`];
}

function checkSkew(
  plan: RemuxPlan,
  counts: SourceCounts,
  video: Mp4Track | undefined,
  audio: Mp4Track | undefined,
): string[] {
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
  return skewMs <= skewMsMax && skewMs >= -(skewMsMax + lateSoundMsMax)
    ? []
    : [`picture and sound are ${Math.abs(skewMs).toFixed(1)} ms apart`];
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a - b;
}
