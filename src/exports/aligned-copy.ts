import { type FileHandle, open } from "node:fs/promises";
import {
  type AudioCodec,
  EncodedAudioPacketSource,
  EncodedPacket,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputVideoTrack,
  MP4,
  Mp4OutputFormat,
  Output,
  StreamTarget,
  type StreamTargetChunk,
  type VideoCodec,
} from "mediabunny";
import { MediaUnreadableError } from "../finalize/finalize-errors.ts";
import { systemErrorCode } from "../storage/storage-fault.ts";
import { writeFully } from "../storage/whole-transfer.ts";
import { type SilentPacket, silentPackets } from "./silent-packet.ts";

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

/** The packets of one stream, on the timeline and in order, and where they go. */
interface Lane {
  readonly packets: AsyncGenerator<EncodedPacket, void, undefined>;
  readonly add: (packet: EncodedPacket) => Promise<void>;
  written: number;
}

/**
 * Copies the packets of a track into an MP4 whose zero is that of the recording: an edit list has
 * each stream begin in its place, the last picture stays to the end, and silent packets follow the
 * sound. Nothing is encoded anew.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function copyAligned(request: AlignedCopy): Promise<AlignedCounts> {
  const file = await open(request.outputPath, "w");
  try {
    return await copyInto(file, request);
  } catch (error) {
    request.signal.throwIfAborted();
    // The disk's own faults keep their names; all else is mediabunny's word on the media.
    if (error instanceof MediaUnreadableError || systemErrorCode(error) !== undefined) throw error;
    throw new MediaUnreadableError("The MP4 cannot be read.", { cause: error });
  } finally {
    await file.close();
  }
}

async function copyInto(file: FileHandle, request: AlignedCopy): Promise<AlignedCounts> {
  const output = new Output({
    format: new Mp4OutputFormat({ fastStart: "reserve" }),
    target: new StreamTarget(
      new WritableStream<StreamTargetChunk>({
        write: ({ data, position }) => writeFully(file, [data], position),
      }),
      { chunked: true },
    ),
  });
  const inputs: Input[] = [];
  const openInput = (path: string): Input => {
    const input = new Input({ source: new FilePathSource(path), formats: [MP4] });
    inputs.push(input);
    return input;
  };
  try {
    const { pictures, sound } = request;
    const videoTrack = pictures && (await openInput(pictures.path).getPrimaryVideoTrack());
    const audioTrack = sound && (await openInput(sound.path).getPrimaryAudioTrack());
    const video =
      pictures && videoTrack ? await videoLane(videoTrack, pictures, request, output) : undefined;
    const audio =
      sound && audioTrack ? await audioLane(audioTrack, sound, request, output) : undefined;
    await output.start();
    await copyLanes(
      [video, audio].flatMap((lane) => lane ?? []),
      request,
    );
    await output.finalize();
    return { videoPackets: video?.written ?? 0, audioPackets: audio?.written ?? 0 };
  } finally {
    for (const input of inputs) input.dispose();
    if (output.state !== "finalized") await output.cancel();
  }
}

type Placed = NonNullable<AlignedCopy["pictures"]>;

async function videoLane(
  track: InputVideoTrack,
  { placeMs }: Placed,
  { durationMs }: AlignedCopy,
  output: Output,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadable("picture");
  const source = new EncodedVideoPacketSource(track.codec satisfies VideoCodec);
  output.addVideoTrack(source, { maximumPacketCount: await packetsOf(track) });
  return {
    packets: placedPictures(track, placeMs, durationMs),
    add: (packet) => source.add(packet, { decoderConfig }),
    written: 0,
  };
}

async function audioLane(
  track: InputAudioTrack,
  { placeMs }: Placed,
  { durationMs }: AlignedCopy,
  output: Output,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadable("sound");
  const source = new EncodedAudioPacketSource(track.codec satisfies AudioCodec);
  const [longest] = silentPackets(track.codec, track.numberOfChannels, track.sampleRate);
  const silentPacketsMax =
    longest === undefined ? 0 : durationMs / longest.durationMs + SHORT_PACKETS_MAX;
  output.addAudioTrack(source, {
    maximumPacketCount: (await packetsOf(track)) + Math.ceil(silentPacketsMax),
  });
  return {
    packets: placedSound(track, placeMs, durationMs),
    add: (packet) => source.add(packet, { decoderConfig }),
    written: 0,
  };
}

function unreadable(what: string): MediaUnreadableError {
  return new MediaUnreadableError(`The parameters of the ${what} cannot be read.`);
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
  placeMs: Placed["placeMs"],
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
  if (held === undefined) throw unreadable("picture");
  const restSeconds = durationMs / 1_000 - held.timestamp;
  yield held.clone({ duration: Math.max(held.duration, restSeconds) });
}

/**
 * Sound with silence before and after it. What is left of the time before it, less than the shortest
 * packet, and all of it where no silence of the codec is known, is made up by an edit list.
 */
async function* placedSound(
  track: InputAudioTrack,
  placeMs: Placed["placeMs"],
  durationMs: number,
): AsyncGenerator<EncodedPacket, void, undefined> {
  const silence = silentPackets(track.codec, track.numberOfChannels, track.sampleRate);
  let endMs: number | undefined;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const atMs = placeMs(packet.timestamp * 1_000);
    if (atMs < 0) continue;
    if (endMs === undefined) yield* silenceBetween(restOf(atMs, silence), atMs, silence);
    endMs = atMs + packet.duration * 1_000;
    yield packet.clone({ timestamp: atMs / 1_000 });
  }
  if (endMs === undefined) throw unreadable("sound");
  yield* silenceBetween(endMs, durationMs, silence);
}

/** What packets of silence leave of a time. */
function restOf(ms: number, silence: readonly SilentPacket[]): number {
  return silence.reduce((rest, packet) => rest - packet.durationMs * countIn(rest, packet), ms);
}

/** As many packets as fit, the the shortest ones first. */
function* silenceBetween(
  fromMs: number,
  toMs: number,
  silence: readonly SilentPacket[],
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
      yield new EncodedPacket(packet.data, "key", atMs / 1_000, packet.durationMs / 1_000);
    }
    beginMs += count * packet.durationMs;
  }
}

function countIn(ms: number, { durationMs }: SilentPacket): number {
  return Math.max(0, Math.floor(ms / durationMs + ROUNDING));
}

/** Writes packets in order of time, as a muxer must interleave them. */
async function copyLanes(
  lanes: readonly Lane[],
  { onMediaMs, signal }: AlignedCopy,
): Promise<void> {
  const heads = await Promise.all(lanes.map(async ({ packets }) => (await packets.next()).value));
  for (;;) {
    signal.throwIfAborted();
    let next: { at: number; packet: EncodedPacket } | undefined;
    for (const [at, packet] of heads.entries()) {
      if (packet && (next === undefined || packet.timestamp < next.packet.timestamp)) {
        next = { at, packet };
      }
    }
    const lane = next === undefined ? undefined : lanes[next.at];
    if (next === undefined || lane === undefined) return;
    await lane.add(next.packet);
    lane.written += 1;
    onMediaMs(next.packet.timestamp * 1_000);
    heads[next.at] = (await lane.packets.next()).value ?? undefined;
  }
}
