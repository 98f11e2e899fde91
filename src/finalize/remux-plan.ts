import { lacksParameterSets } from "./decoder-doubts.ts";
import type { StreamKind } from "../contract/marks.ts";
import type { RemuxAction } from "../contract/recordings.ts";
import type { FfmpegAbilities } from "../process/ffmpeg-binary.ts";
import type { Way } from "./remux-ways.ts";
import type { SourceStream, SourceStreams, StreamCodec } from "./source-stream.ts";

/** What becomes of one stream. */
export interface StreamPlan {
  readonly source: SourceStream;
  readonly action: RemuxAction;
  /** The codec in the MP4. */
  readonly codec: StreamCodec;
  /** Why, in a sentence. */
  readonly reason: string;
  /** Sound that is made as that of the track's other segments is: 48 kHz, two channels. */
  readonly isUniform: boolean;
}

/** Which streams of a track's segments must be made alike, since a track has one codec for each kind. */
export interface JoinTargets {
  /** H.264; what is H.264 already is copied. */
  readonly h264: boolean;
  /** AAC, all of it by the same encoder, since AAC does not describe itself packet by packet. */
  readonly aac: boolean;
}

/** A segment that stands alone. */
export const NO_TARGETS: JoinTargets = { h264: false, aac: false };

/** How a segment becomes an MP4. */
export interface RemuxPlan {
  readonly video: StreamPlan | undefined;
  readonly audio: StreamPlan | undefined;
  /** `transcode` when any stream is. */
  readonly action: RemuxAction;
  readonly reason: string;
  /** Who writes the MP4. */
  readonly muxer: "ffmpeg" | "mediabunny";
}

/** A plan, or why there can be none. */
export type RemuxDecision =
  | { readonly outcome: "plan"; readonly plan: RemuxPlan }
  | { readonly outcome: "unsupported"; readonly reason: string };

// What the MP4 registration authority lists and ffmpeg's muxer takes; a 2018 build needs `-strict -2`
// for some of them.
const COPIED: ReadonlySet<StreamCodec> = new Set([
  "h264",
  "hevc",
  "vp9",
  "av1",
  "opus",
  "aac",
  "mp3",
  "flac",
] satisfies StreamCodec[]);

/**
 * Decides per stream between copy and transcode. Pure.
 *
 * @param targets what segments which differ are made, so that they can be joined
 */
export function planRemux(
  streams: SourceStreams,
  abilities: FfmpegAbilities,
  targets: JoinTargets,
): RemuxDecision {
  const sources = [streams.video, streams.audio].filter((source) => source !== undefined);
  if (sources.length === 0) {
    return { outcome: "unsupported", reason: "The chunks hold neither picture nor sound." };
  }
  const plan = (source: SourceStream | undefined): StreamPlan | undefined =>
    source && planStream(source, targets);
  const [planned, audio] = [plan(streams.video), plan(streams.audio)];
  const isAv1Foreign = planned?.codec === "av1" && !abilities.av1InMp4;
  // Only ffmpeg encodes, and what it writes of AV1 would not play.
  const isForeign =
    (isAv1Foreign && audio?.action === "transcode") ||
    (planned?.action === "copy" && lacksParameterSets(planned.source) && !abilities.fpsMode);
  const video =
    planned !== undefined && isForeign
      ? transcoded(planned, "since this ffmpeg build cannot write it into MP4")
      : planned;
  const muxer = isAv1Foreign && video?.action === "copy" ? "mediabunny" : "ffmpeg";
  const reasons =
    muxer === "mediabunny"
      ? ["This ffmpeg build cannot write AV1 into MP4, so mediabunny does."]
      : [];
  return { outcome: "plan", plan: planOfStreams(video, audio, muxer, reasons) };
}

/**
 * The plan of another way to make the MP4 than the one that was planned first. Pure.
 *
 * @param way copies only what `plan` copies
 */
export function planOfWay(plan: RemuxPlan, way: Way): RemuxPlan {
  const own = (kind: StreamKind): StreamPlan | undefined => {
    const planned = plan[kind];
    if (planned === undefined || way[kind] === undefined) return undefined;
    if (way[kind] === planned.action) return planned;
    return transcoded(planned, "since a copy of it does not show all that it holds");
  };
  const reasons =
    way.muxer === plan.muxer
      ? []
      : ["What ffmpeg copied did not hold all that came, so mediabunny copied it."];
  return planOfStreams(own("video"), own("audio"), way.muxer, reasons);
}

/** The way that a plan describes. Pure. */
export function wayOfPlan({ video, audio, muxer }: RemuxPlan): Way {
  return { video: video?.action, audio: audio?.action, muxer };
}

function planOfStreams(
  video: StreamPlan | undefined,
  audio: StreamPlan | undefined,
  muxer: RemuxPlan["muxer"],
  reasons: readonly string[],
): RemuxPlan {
  const plans = [video, audio].filter((stream) => stream !== undefined);
  const action = plans.some((stream) => stream.action === "transcode") ? "transcode" : "copy";
  const reason = [...plans.map((stream) => stream.reason), ...reasons].join(" ");
  return { video, audio, action, reason, muxer };
}

function transcoded(plan: StreamPlan, why: string): StreamPlan {
  const { source } = plan;
  const codec = source.kind === "video" ? "h264" : "aac";
  const reason = `${streamTitle(source)} is transcoded to ${NAMES[codec]}, ${why}.`;
  return { ...plan, action: "transcode", codec, reason };
}

/**
 * What the segments of one track must be made. Those of one codec are copied together, also when their
 * parameters or sizes differ, where packets bring along what a decoder needs. Pure.
 */
export function joinTargets(segments: readonly SourceStreams[]): JoinTargets {
  const videos = segments.flatMap(({ video }) => video ?? []);
  const audios = segments.flatMap(({ audio }) => audio ?? []);
  return {
    // Parameter sets of H.265 are not put into the stream, as those of H.264 are.
    h264: areDifferent(videos) || (videos[0]?.codec === "hevc" && haveDifferentParameters(videos)),
    aac: areDifferent(audios) || (audios[0]?.codec !== "opus" && haveDifferentParameters(audios)),
  };
}

function areDifferent(streams: readonly SourceStream[]): boolean {
  return new Set(streams.map((stream) => ownCodec(stream))).size > 1;
}

function haveDifferentParameters(streams: readonly SourceStream[]): boolean {
  return new Set(streams.map(({ codec, parameters }) => `${codec} ${parameters}`)).size > 1;
}

/** What a stream becomes when it stands alone. One of an unknown codec may be known to ffmpeg's decoders. */
function ownCodec({ kind, codec }: SourceStream): StreamCodec {
  if (codec !== undefined && COPIED.has(codec)) return codec;
  return kind === "video" ? "h264" : "aac";
}

function planStream(source: SourceStream, targets: JoinTargets): StreamPlan {
  const isUniform = source.kind === "audio" && targets.aac;
  const { codec } = source;
  const own = ownCodec(source);
  const wanted = source.kind === "video" && targets.h264 ? "h264" : isUniform ? "aac" : own;
  if (wanted === codec && !isUniform) {
    return {
      source,
      action: "copy",
      codec,
      reason: `${streamTitle(source)} is copied.`,
      isUniform,
    };
  }
  // AAC rather than Opus: every ffmpeg build has its encoder, and every player of MP4 plays it.
  const why =
    own === codec
      ? "since the track's segments differ in it"
      : source.kind === "video"
        ? "since MP4 cannot carry it"
        : "since MP4 players do not take it";
  const reason = `${streamTitle(source)} is transcoded to ${NAMES[wanted]}, ${why}.`;
  return { source, action: "transcode", codec: wanted, reason, isUniform };
}

const NAMES: Readonly<Record<StreamCodec, string>> = {
  h264: "H.264",
  hevc: "H.265",
  vp8: "VP8",
  vp9: "VP9",
  av1: "AV1",
  opus: "Opus",
  aac: "AAC",
  mp3: "MP3",
  flac: "FLAC",
  vorbis: "Vorbis",
  pcm: "PCM",
};

/** A stream as people call it, such as `H.264 video`. */
export function streamTitle({ kind, codec, codecName }: SourceStream): string {
  const name = codec === undefined ? codecName : NAMES[codec];
  return `${name} ${kind === "video" ? "video" : "sound"}`;
}
