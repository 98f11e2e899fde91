import type { RemuxAction } from "../contract/recordings.ts";
import type { FfmpegAbilities } from "../process/ffmpeg-binary.ts";
import type { SourceStream, SourceStreams, StreamCodec } from "./source-stream.ts";

/** What becomes of one stream. */
export interface StreamPlan {
  readonly source: SourceStream;
  readonly action: RemuxAction;
  /** The codec in the MP4. */
  readonly codec: StreamCodec;
  /** Why, in a sentence. */
  readonly reason: string;
}

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
 * @param uniform makes every stream H.264 and AAC, so that segments which differ can be joined
 */
export function planRemux(
  streams: SourceStreams,
  abilities: FfmpegAbilities,
  uniform: boolean,
): RemuxDecision {
  const sources = [streams.video, streams.audio].filter((source) => source !== undefined);
  if (sources.length === 0) {
    return { outcome: "unsupported", reason: "The chunks hold neither picture nor sound." };
  }
  for (const { kind, codec, codecName } of sources) {
    if (codec !== undefined) continue;
    return { outcome: "unsupported", reason: `The ${kind} codec ${codecName} is not supported.` };
  }
  const plan = (source: SourceStream | undefined): StreamPlan | undefined =>
    source?.codec === undefined ? undefined : planStream(source, source.codec, uniform);
  const video = plan(streams.video);
  const audio = plan(streams.audio);
  const plans = [video, audio].filter((stream) => stream !== undefined);
  const action = plans.some((stream) => stream.action === "transcode") ? "transcode" : "copy";
  const reasons = plans.map((stream) => stream.reason);
  const muxer =
    action === "copy" && video?.codec === "av1" && !abilities.av1InMp4 ? "mediabunny" : "ffmpeg";
  if (muxer === "mediabunny") {
    reasons.push("This ffmpeg build cannot write AV1 into MP4, so mediabunny does.");
  }
  return { outcome: "plan", plan: { video, audio, action, reason: reasons.join(" "), muxer } };
}

function planStream(source: SourceStream, codec: StreamCodec, uniform: boolean): StreamPlan {
  if (uniform) {
    const target = source.kind === "video" ? "h264" : "aac";
    const reason = `${title(source)} is transcoded to ${NAMES[target]}, since the track's segments differ.`;
    return { source, action: "transcode", codec: target, reason };
  }
  if (COPIED.has(codec)) {
    return { source, action: "copy", codec, reason: `${title(source)} is copied.` };
  }
  if (source.kind === "video") {
    const reason = `${title(source)} is transcoded to H.264, since MP4 cannot carry it.`;
    return { source, action: "transcode", codec: "h264", reason };
  }
  // AAC rather than Opus: every ffmpeg build has its encoder, and every player of MP4 plays it.
  const reason = `${title(source)} is transcoded to AAC, since MP4 players do not take it.`;
  return { source, action: "transcode", codec: "aac", reason };
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

function title({ kind, codec, codecName }: SourceStream): string {
  const name = codec === undefined ? codecName : NAMES[codec];
  return `${name} ${kind === "video" ? "video" : "sound"}`;
}
