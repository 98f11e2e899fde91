import {
  EncodedPacket,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputVideoTrack,
  MP4,
} from "mediabunny";
import { MediaUnreadableError } from "../finalize/finalize-errors.ts";
import {
  type Lane,
  audioLane,
  videoLane,
  writeByMediabunny,
} from "../finalize/mediabunny-output.ts";
import { silentPackets } from "../finalize/silent-packets.ts";

/** A track's MP4 that is to stand on the recording's timeline. */
export interface AlignedCopy {
  readonly pictures: {
    readonly path: string;
    readonly placeMs: (mediaMs: number) => number;
  } | null;
  readonly sound: { readonly path: string; readonly placeMs: (mediaMs: number) => number } | null;
  readonly outputPath: string;
  /** Of the recording: where the last picture and the silence end. */
  readonly durationMs: number;
  /** Told the time on the timeline of the packet that was written. */
  readonly onMediaMs: (mediaMs: number) => void;
  readonly signal: AbortSignal;
}

/** What was written. */
export interface AlignedCounts {
  readonly videoPackets: number;
  readonly audioPackets: number;
}

/**
 * Copies the packets of a track into an MP4 whose zero is that of the recording: an edit list has
 * each stream begin in its place, the last picture stays to the end, and silent packets follow the
 * sound. Nothing is encoded anew.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function copyAligned(request: AlignedCopy): Promise<AlignedCounts> {
  const { pictures, sound, durationMs, ...rest } = request;
  const inputs: Input[] = [];
  const openInput = (path: string): Input => {
    const input = new Input({ source: new FilePathSource(path), formats: [MP4] });
    inputs.push(input);
    return input;
  };
  let video: Lane | undefined;
  let audio: Lane | undefined;
  try {
    await writeByMediabunny({
      ...rest,
      unreadable: "The MP4 cannot be read.",
      addLanes: async (output) => {
        const videoTrack = pictures && (await openInput(pictures.path).getPrimaryVideoTrack());
        const audioTrack = sound && (await openInput(sound.path).getPrimaryAudioTrack());
        if (videoTrack) {
          const packets = placedPictures(videoTrack, pictures.placeMs, durationMs);
          video = await videoLane(output, videoTrack, packets, await packetsOf(videoTrack));
        }
        if (audioTrack) {
          const packets = placedSound(audioTrack, sound.placeMs, durationMs);
          const packetsMax = (await packetsOf(audioTrack)) + silentMax(audioTrack, durationMs);
          audio = await audioLane(output, audioTrack, packets, packetsMax);
        }
        return [video, audio].filter((lane) => lane !== undefined);
      },
    });
    return { videoPackets: video?.written ?? 0, audioPackets: audio?.written ?? 0 };
  } finally {
    for (const input of inputs) input.dispose();
  }
}

type PlaceMs = NonNullable<AlignedCopy["sound"]>["placeMs"];

/** Silent packets of a sound with their lengths. */
type Silence = readonly { readonly bytes: Uint8Array; readonly durationMs: number }[];

/** Of Opus, whatever rate the sound says that it had before (RFC 6716). */
const OPUS_SAMPLES_PER_SECOND = 48_000;

function silenceOf({ codec, numberOfChannels, sampleRate }: InputAudioTrack): Silence {
  if (codec !== "opus" && codec !== "aac") return [];
  const perSecond = codec === "opus" ? OPUS_SAMPLES_PER_SECOND : sampleRate;
  return silentPackets(codec, numberOfChannels).map(({ bytes, samples }) => ({
    bytes,
    durationMs: (samples / perSecond) * 1_000,
  }));
}

/** Most silent packets that may come. */
function silentMax(track: InputAudioTrack, durationMs: number): number {
  const [longest] = silenceOf(track);
  return longest === undefined ? 0 : Math.ceil(durationMs / longest.durationMs) + SHORT_PACKETS_MAX;
}

async function packetsOf(track: InputVideoTrack | InputAudioTrack): Promise<number> {
  const { packetCount } = await track.computePacketStats();
  return packetCount;
}

/** Packets that are shorter than the longest: some before the sound and some after it. */
const SHORT_PACKETS_MAX = 16;

/** Of a packet: what a sum of times may be off. */
const ROUNDING = 1e-6;

/** Between pictures that come before the recording's zero: a few ticks of MP4's clock. */
const SQUEEZED_SECONDS = 0.000_1;

/**
 * Pictures from the first keyframe on. Those before the recording's zero, which later ones need, pass
 * in no time at zero; the last one stays until `durationMs`.
 */
async function* placedPictures(
  track: InputVideoTrack,
  placeMs: PlaceMs,
  durationMs: number,
): AsyncGenerator<EncodedPacket, void, undefined> {
  let held: EncodedPacket | undefined;
  let squeezed = 0;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    if (held === undefined && packet.type !== "key") continue;
    if (held !== undefined) yield held;
    const seconds = placeMs(packet.timestamp * 1_000) / 1_000;
    // Edit lists could cut them off as well, but players differ in where the rest begins then.
    const earliest = squeezed * SQUEEZED_SECONDS;
    if (seconds < earliest) squeezed += 1;
    held = packet.clone({ timestamp: Math.max(seconds, earliest) });
  }
  if (held === undefined) throw new MediaUnreadableError("The picture has nothing to begin with.");
  const restSeconds = durationMs / 1_000 - held.timestamp;
  yield held.clone({ duration: Math.max(held.duration, restSeconds) });
}

/**
 * Sound with silence before and after it. What is left of the time before it, less than the shortest
 * packet, and all of it where no silence of the codec is known, is made up by an edit list.
 */
async function* placedSound(
  track: InputAudioTrack,
  placeMs: PlaceMs,
  durationMs: number,
): AsyncGenerator<EncodedPacket, void, undefined> {
  const silence = silenceOf(track);
  let endMs: number | undefined;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const atMs = placeMs(packet.timestamp * 1_000);
    if (atMs < 0) continue;
    if (endMs === undefined) yield* silenceBetween(restOf(atMs, silence), atMs, silence);
    endMs = atMs + packet.duration * 1_000;
    yield packet.clone({ timestamp: atMs / 1_000 });
  }
  if (endMs === undefined)
    throw new MediaUnreadableError("The sound has nothing in the recording's time.");
  yield* silenceBetween(endMs, durationMs, silence);
}

/** What packets of silence leave of a time. */
function restOf(ms: number, silence: Silence): number {
  return silence.reduce((rest, packet) => rest - packet.durationMs * countIn(rest, packet), ms);
}

/** As many packets as fit, the shortest ones first. */
function* silenceBetween(
  fromMs: number,
  toMs: number,
  silence: Silence,
): Generator<EncodedPacket, void, undefined> {
  let restMs = toMs - fromMs;
  const counts = silence.map((packet) => {
    const count = countIn(restMs, packet);
    restMs -= count * packet.durationMs;
    return count;
  });
  let beginMs = fromMs;
  for (const [i, packet] of [...silence.entries()].toReversed()) {
    const count = counts[i] ?? 0;
    // Counted, not added up: the sum of many steps would not end where it should.
    for (let k = 0; k < count; k += 1) {
      const atMs = beginMs + k * packet.durationMs;
      yield new EncodedPacket(packet.bytes, "key", atMs / 1_000, packet.durationMs / 1_000);
    }
    beginMs += count * packet.durationMs;
  }
}

function countIn(ms: number, { durationMs }: Silence[number]): number {
  return Math.max(0, Math.floor(ms / durationMs + ROUNDING));
}
