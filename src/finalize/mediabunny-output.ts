import { open } from "node:fs/promises";
import {
  type AudioCodec,
  EncodedAudioPacketSource,
  type EncodedPacket,
  EncodedVideoPacketSource,
  type InputAudioTrack,
  type InputVideoTrack,
  Mp4OutputFormat,
  Output,
  StreamTarget,
  type StreamTargetChunk,
  type VideoCodec,
} from "mediabunny";
import { systemErrorCode } from "../storage/storage-fault.ts";
import { writeFully } from "../storage/whole-transfer.ts";
import { MediaUnreadableError } from "./finalize-errors.ts";

/** The packets of one stream, in order of time, and where they go. */
export interface Lane {
  readonly packets: AsyncGenerator<EncodedPacket, void, undefined>;
  readonly add: (packet: EncodedPacket) => Promise<void>;
  written: number;
}

/** An MP4 that is written without ffmpeg. */
export interface MediabunnyMux {
  readonly outputPath: string;
  /** Opens the inputs and adds what is to be written. */
  readonly addLanes: (output: Output) => Promise<readonly Lane[]>;
  /** Told the time of the packet that was written. */
  readonly onMediaMs: (mediaMs: number) => void;
  readonly signal: AbortSignal;
  /** What to say of media that mediabunny cannot read. */
  readonly unreadable: string;
}

/**
 * Writes an MP4 whose index stands before the media.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function writeByMediabunny(mux: MediabunnyMux): Promise<void> {
  // A FilePathTarget leaves its file open when the muxing fails before its start or at its end.
  const file = await open(mux.outputPath, "w");
  const output = new Output({
    format: new Mp4OutputFormat({ fastStart: "reserve" }),
    target: new StreamTarget(
      new WritableStream<StreamTargetChunk>({
        write: ({ data, position }) => writeFully(file, [data], position),
      }),
      { chunked: true },
    ),
  });
  try {
    const lanes = await mux.addLanes(output);
    await output.start();
    await copyLanes(lanes, mux);
    await output.finalize();
  } catch (error) {
    mux.signal.throwIfAborted();
    // The disk's own faults keep their names; all else is mediabunny's word on the media.
    if (error instanceof MediaUnreadableError || systemErrorCode(error) !== undefined) throw error;
    throw new MediaUnreadableError(mux.unreadable, { cause: error });
  } finally {
    if (output.state !== "finalized") await output.cancel();
    await file.close();
  }
}

/**
 * Adds pictures that are copied.
 *
 * @param packetsMax room for the index is made for so many
 */
export async function videoLane(
  output: Output,
  track: InputVideoTrack,
  packets: Lane["packets"],
  packetsMax: number,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadableParameters("picture");
  const source = new EncodedVideoPacketSource(track.codec satisfies VideoCodec);
  output.addVideoTrack(source, { maximumPacketCount: packetsMax });
  return { packets, add: (packet) => source.add(packet, { decoderConfig }), written: 0 };
}

/** Adds sound that is copied; see `videoLane`. */
export async function audioLane(
  output: Output,
  track: InputAudioTrack,
  packets: Lane["packets"],
  packetsMax: number,
): Promise<Lane> {
  const decoderConfig = await track.getDecoderConfig();
  if (track.codec === null || decoderConfig === null) throw unreadableParameters("sound");
  const source = new EncodedAudioPacketSource(track.codec satisfies AudioCodec);
  output.addAudioTrack(source, { maximumPacketCount: packetsMax });
  return { packets, add: (packet) => source.add(packet, { decoderConfig }), written: 0 };
}

function unreadableParameters(what: string): MediaUnreadableError {
  return new MediaUnreadableError(`The parameters of the ${what} cannot be read.`);
}

/** Writes packets in order of time, as a muxer must interleave them. */
async function copyLanes(
  lanes: readonly Lane[],
  { onMediaMs, signal }: MediabunnyMux,
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
