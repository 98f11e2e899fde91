import { lacksParameterSets } from "./decoder-doubts.ts";
import type { StreamKind } from "../contract/marks.ts";
import type { RemuxAction } from "../contract/recordings.ts";
import type { FfmpegAbilities } from "../process/ffmpeg-binary.ts";
import { isPlain, isSameDisplay } from "./picture-display.ts";
import type { Way } from "./remux-ways.ts";
import {
  type SourceStream,
  type SourceStreams,
  type StreamCodec,
  soundsOf,
} from "./source-stream.ts";

/** What becomes of one stream. */
export interface StreamPlan {
  readonly source: SourceStream;
  readonly action: RemuxAction;
  /** The codec in the MP4. */
  readonly codec: StreamCodec;
  /** Why, in a sentence. */
  readonly reason: string;
  /** Sound that is made as that of the track's other segments is: 48 kHz, so many channels. */
  readonly isUniform: boolean;
  /** Of uniform sound. */
  readonly channels?: number;
  /** All sounds that are mixed into it, of which `source` is one; it is not mixed without. */
  readonly mixed?: readonly SourceStream[];
}

/** Which streams of a track's segments must be made alike, since a track has one codec for each kind. */
export interface JoinTargets {
  /** H.264; what is H.264 already is copied. */
  readonly h264: boolean;
  /** AAC, all of it by the same encoder, since AAC does not describe itself packet by packet. */
  readonly aac: boolean;
  /** Of that AAC; two without. */
  readonly channels?: number;
  /** Pictures that are shown as they are stored: a track has one turn and one shape of pixels. */
  readonly upright?: boolean;
  /** Without pictures that an edit list hides: in the middle of a track they would be seen. */
  readonly uncovered?: boolean;
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
  /** Tracks of the source of which nothing is in the MP4; none without. */
  readonly leftOut?: readonly SourceStream[];
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
  const { others = [] } = streams;
  const leftOut = others.length === 0 ? {} : { leftOut: others };
  return { outcome: "plan", plan: { ...planOfStreams(video, audio, muxer, reasons), ...leftOut } };
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
  const made = planOfStreams(own("video"), own("audio"), way.muxer, reasons);
  return plan.leftOut === undefined ? made : { ...made, leftOut: plan.leftOut };
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
 * The plan of one of several sounds for all of them: they are mixed, since players play one sound of an
 * MP4. Pure.
 *
 * @param sounds two or more
 */
export function withMixedSounds(
  plan: RemuxPlan,
  sounds: readonly SourceStream[],
  targets: JoinTargets,
): RemuxPlan {
  const [source] = sounds;
  if (source === undefined) return plan;
  const { channels = 2 } = targets.aac ? targets : uniformSound(sounds);
  const codecs = sounds.map(({ codec, codecName }) => (codec ? NAMES[codec] : codecName));
  const reason =
    `${sounds.length} sound tracks (${codecs.join(", ")}) are mixed into one and transcoded to AAC, ` +
    "since players play one sound of an MP4.";
  const audio: StreamPlan = {
    // How much of the beginning decoders leave out.
    source: { ...source, preSkipMs: Math.max(...sounds.map(({ preSkipMs }) => preSkipMs)) },
    action: "transcode",
    codec: "aac",
    reason,
    isUniform: true,
    channels,
    mixed: sounds,
  };
  const positions = new Set(sounds.map(({ position }) => position));
  const leftOut = (plan.leftOut ?? []).filter(
    ({ kind, position }) => kind === "video" || !positions.has(position),
  );
  const reasons = [plan.video?.reason, reason].filter((sentence) => sentence !== undefined);
  return { ...plan, audio, action: "transcode", reason: reasons.join(" "), leftOut };
}

/**
 * What the segments of one track must be made. Those of one codec are copied together, also when their
 * parameters or sizes differ, where packets bring along what a decoder needs. Pure.
 */
export function joinTargets(segments: readonly SourceStreams[]): JoinTargets {
  const videos = segments.flatMap(({ video }) => video ?? []);
  const audios = segments.flatMap((streams) => [...soundsOf(streams)]);
  const areMixed = segments.length > 1 && segments.some((own) => soundsOf(own).length > 1);
  // Parameter sets of H.265 are not put into the stream, as those of H.264 are.
  const differ =
    areDifferent(videos) || (videos[0]?.codec === "hevc" && haveDifferentParameters(videos));
  // What is transcoded comes out upright.
  const displays = videos.map((video) => (isCopied(video, differ) ? video : {}));
  const upright = displays.some((display) => !isSameDisplay(display, displays[0] ?? {}));
  const uncovered = videos.slice(1).some((video) => video.hidesPictures === true);
  const isRecut = upright || uncovered;
  return {
    h264: differ || (isRecut && videos.some((video) => ownCodec(video) !== "h264")),
    ...(upright ? { upright } : {}),
    ...(uncovered ? { uncovered } : {}),
    ...(areMixed ||
    areDifferent(audios) ||
    differInSetup(audios) ||
    (audios.length > 1 && lackSilence(audios))
      ? uniformSound(audios)
      : { aac: false }),
  };
}

/** AAC with as many channels as the sounds have, so that none of them loses any. */
export function uniformSound(
  sounds: readonly SourceStream[],
): Pick<JoinTargets, "aac" | "channels"> {
  const most = Math.max(...sounds.map((sound) => sound.channels ?? 2));
  if (most === 2) return { aac: true };
  const channels = most === 1 ? 1 : MANY_CHANNELS.find((count) => count >= most);
  return channels === undefined ? { aac: true } : { aac: true, channels };
}

/** 5.1 and 7.1, in which smaller layouts have their places. */
const MANY_CHANNELS = [6, 8] as const;

/** Whether a sound that would be copied cannot be filled with silence. */
export function lackSilence(sounds: readonly SourceStream[]): boolean {
  return sounds.some((sound) => sound.hasNoSilence === true && ownCodec(sound) === sound.codec);
}

/** Whether one decoder, set up once, could not decode all of the sounds. */
function differInSetup(sounds: readonly SourceStream[]): boolean {
  return sounds[0]?.codec === "opus"
    ? new Set(sounds.map(({ mapping }) => mapping)).size > 1
    : haveDifferentParameters(sounds);
}

function isCopied({ codec }: SourceStream, isMadeH264: boolean): boolean {
  return codec === "h264" || (!isMadeH264 && codec !== undefined && COPIED.has(codec));
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
  const isTurned = source.kind === "video" && targets.upright === true && !isPlain(source);
  const isCovered = targets.uncovered === true && source.hidesPictures === true;
  const isH264 = source.kind === "video" && (targets.h264 || isTurned || isCovered);
  const wanted = isH264 ? "h264" : isUniform ? "aac" : own;
  if (wanted === codec && !isUniform && !isTurned && !isCovered) {
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
      ? source.hasNoSilence === true
        ? "since no silence can be put into its gaps"
        : isCovered
          ? "without the pictures that its edit list hides, which would be seen between segments"
          : source.kind === "video" && targets.upright === true
            ? "upright and with square pixels, since the track's segments differ in how they are turned " +
              "or in the shape of their pixels, and an MP4 has one for all"
            : "since the track's segments differ in it"
      : source.kind === "video"
        ? "since MP4 cannot carry it"
        : "since MP4 players do not take it";
  const reason = `${streamTitle(source)} is transcoded to ${NAMES[wanted]}, ${why}.`;
  const { channels = 2 } = targets;
  const plan: StreamPlan = { source, action: "transcode", codec: wanted, reason, isUniform };
  return isUniform ? { ...plan, channels } : plan;
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
