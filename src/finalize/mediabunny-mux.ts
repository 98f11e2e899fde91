import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import {
  type EncodedPacket,
  EncodedAudioPacketSource,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  MkvOutputFormat,
  Mp4OutputFormat,
  Output,
  StreamTarget,
  type StreamTargetChunk,
  WEBM,
} from "mediabunny";
import { systemErrorCode } from "../storage/storage-fault.ts";
import { writeFully } from "../storage/whole-transfer.ts";
import { MediaUnreadableError } from "./finalize-errors.ts";

/** What is to be written. */
export interface MuxRequest {
  readonly inputPath: string;
  /** Added to all its times. */
  readonly offsetMs: number;
  /** MP4 without it. */
  readonly container?: "matroska";
  /** Given a packet's index in its stream, in order of decoding, and its time, tells the one to write. */
  readonly retime?: (kind: "video" | "audio", packet: number, atMs: number) => number;
  readonly outputPath: string;
  /** Packets of each stream; room for the index is made for them. One without is left out. */
  readonly videoPackets: number | undefined;
  readonly audioPackets: number | undefined;
  /** Told the time of the packet that was written. */
  readonly onMediaMs: (mediaMs: number) => void;
  readonly signal: AbortSignal;
}

/** The packets of one stream, in order of time, and where they go. */
interface Lane {
  readonly packets: AsyncGenerator<EncodedPacket, void, undefined>;
  readonly add: (packet: EncodedPacket) => Promise<void>;
}

/**
 * Copies the packets of a file into an MP4 without ffmpeg, whose index stands before the media: AV1
 * where the ffmpeg build is too old for it. About a third as fast.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function muxByMediabunny(request: MuxRequest): Promise<void> {
  const { inputPath, outputPath, signal, videoPackets, audioPackets } = request;
  // A FilePathTarget leaves its file open when the muxing fails before its start or at its end.
  const file = await open(outputPath, "w");
  const output = new Output({
    format:
      request.container === "matroska"
        ? new MkvOutputFormat()
        : new Mp4OutputFormat({ fastStart: "reserve" }),
    target: new StreamTarget(
      new WritableStream<StreamTargetChunk>({
        write: ({ data, position }) => writeFully(file, [data], position),
      }),
      { chunked: true },
    ),
  });
  try {
    using input = new Input({
      source: new FilePathSource(inputPath),
      formats: [MP4, WEBM, MATROSKA],
    });
    const video = videoPackets === undefined ? null : await input.getPrimaryVideoTrack();
    const audio = audioPackets === undefined ? null : await input.getPrimaryAudioTrack();
    const lanes = [
      ...(video ? [await videoLane(output, video, request, videoPackets ?? 0)] : []),
      ...(audio ? [await audioLane(output, audio, request, audioPackets ?? 0)] : []),
    ];
    await output.start();
    await copyLanes(lanes, request);
    await output.finalize();
  } catch (error) {
    signal.throwIfAborted();
    // The disk's own faults keep their names; all else is mediabunny's word on the media.
    if (error instanceof MediaUnreadableError || systemErrorCode(error) !== undefined) throw error;
    throw new MediaUnreadableError("The chunks form no readable file.", { cause: error });
  } finally {
    if (output.state !== "finalized") await output.cancel();
    await file.close();
  }
}

async function videoLane(
  output: Output,
  track: InputVideoTrack,
  request: MuxRequest,
  maximumPacketCount: number,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadableParameters("picture");
  const source = new EncodedVideoPacketSource(track.codec);
  output.addVideoTrack(source, {
    maximumPacketCount,
    transformationMatrix: await track.getTransformationMatrix(),
  });
  return {
    packets: moved(track, request),
    add: (packet) => source.add(packet, { decoderConfig }),
  };
}

async function audioLane(
  output: Output,
  track: InputAudioTrack,
  request: MuxRequest,
  maximumPacketCount: number,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadableParameters("sound");
  const source = new EncodedAudioPacketSource(track.codec);
  output.addAudioTrack(source, { maximumPacketCount });
  return {
    packets: moved(track, request),
    add: (packet) => source.add(packet, { decoderConfig }),
  };
}

function unreadableParameters(what: string): MediaUnreadableError {
  return new MediaUnreadableError(`The parameters of the ${what} cannot be read.`);
}

async function* moved(
  track: InputVideoTrack | InputAudioTrack,
  { offsetMs, retime = (_kind, _packet, atMs) => atMs }: MuxRequest,
): AsyncGenerator<EncodedPacket, void, undefined> {
  const kind = track.isVideoTrack() ? "video" : "audio";
  let packets = 0;
  for await (const packet of new EncodedPacketSink(track).packets()) {
    const atMs = retime(kind, packets, packet.timestamp * 1_000) + offsetMs;
    packets += 1;
    yield packet.clone({ timestamp: atMs / 1_000 });
  }
}

/** So many packets are written at a stretch, in some 10 ms. */
const PACKETS_PER_TURN = 1_024;

/** Writes packets in order of time, as a muxer must interleave them. */
async function copyLanes(lanes: readonly Lane[], { onMediaMs, signal }: MuxRequest): Promise<void> {
  const heads = await Promise.all(lanes.map(async ({ packets }) => (await packets.next()).value));
  for (let packets = 1; ; packets += 1) {
    // What is in memory comes without a wait, and nobody else would have a turn.
    if (packets % PACKETS_PER_TURN === 0) await setImmediate();
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
    onMediaMs(next.packet.timestamp * 1_000);
    heads[next.at] = (await lane.packets.next()).value ?? undefined;
  }
}
