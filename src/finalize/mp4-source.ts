import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import {
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputTrack,
  type InputVideoTrack,
  MATROSKA,
  type MediaCodec,
  MP4,
  WEBM,
} from "mediabunny";
import { FileUnreadableError } from "./finalize-errors.ts";
import type { SourceCounts } from "./media-check.ts";
import { refuseImpossibleSampleCounts } from "./mp4-sample-bounds.ts";
import { PacketCounter } from "./packet-counter.ts";
import { type PictureDisplay, displayOf } from "./picture-display.ts";
import {
  type SourceStream,
  type SourceStreams,
  type StreamCodec,
  opusPreSkipMs,
  soundTraits,
} from "./source-stream.ts";

/** A plain file and what it holds. */
export interface FileProbe {
  readonly streams: SourceStreams;
  readonly counts: SourceCounts;
}

/** Writes the payloads of a segment one after the other. */
export async function writePayloads(
  payloads: AsyncIterable<Uint8Array>,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(path, "wx");
  try {
    for await (const payload of payloads) {
      signal.throwIfAborted();
      await handle.writeFile(payload);
    }
  } finally {
    await handle.close();
  }
}

/**
 * Reads what an MP4 file holds, by a reader that is independent of ffmpeg. Its index can stand at
 * the end or be spread over fragments.
 *
 * @throws FileUnreadableError when this reader cannot make anything of it, MediaUnreadableError when nobody
 * is to try
 */
export async function probeFile(path: string, signal: AbortSignal): Promise<FileProbe> {
  await refuseImpossibleSampleCounts(path, signal);
  const input = new Input({ source: new FilePathSource(path), formats: [MP4, WEBM, MATROSKA] });
  try {
    const videos = await countedTracks(await input.getVideoTracks(), "video", signal);
    const audios = await countedTracks(await input.getAudioTracks(), "audio", signal);
    const [video, audio] = [firstWithPackets(videos), firstWithPackets(audios)];
    const others = [...videos, ...audios].filter(
      (track) => track.count.packets > 0 && track !== video && track !== audio,
    );
    return {
      streams: {
        video: video?.stream,
        audio: audio?.stream,
        others: others.map(({ stream }) => stream),
      },
      counts: {
        video: video?.count,
        audio: audio?.count,
        others: others.map(({ count }) => count),
      },
    };
  } catch (error) {
    signal.throwIfAborted();
    throw new FileUnreadableError("The chunks form no readable file.", { cause: error });
  } finally {
    input.dispose();
  }
}

interface CountedStream {
  readonly stream: SourceStream;
  readonly count: PacketCounter;
}

/** In the order of the file. Whether a track is enabled is for players: it was recorded. */
async function countedTracks(
  tracks: readonly InputTrack[],
  kind: "video" | "audio",
  signal: AbortSignal,
): Promise<CountedStream[]> {
  const counted: CountedStream[] = [];
  for (const [position, track] of tracks.entries()) {
    const stream = { ...(await streamOf(track, kind)), position };
    counted.push({ stream, count: await countPackets(track, signal) });
  }
  return counted;
}

function firstWithPackets(tracks: readonly CountedStream[]): CountedStream | undefined {
  return tracks.find(({ count }) => count.packets > 0) ?? tracks[0];
}

const CODECS: Readonly<Partial<Record<MediaCodec, StreamCodec>>> = {
  avc: "h264",
  hevc: "hevc",
  vp8: "vp8",
  vp9: "vp9",
  av1: "av1",
  opus: "opus",
  aac: "aac",
  mp3: "mp3",
  flac: "flac",
  vorbis: "vorbis",
};

async function streamOf(track: InputTrack, kind: "video" | "audio"): Promise<SourceStream> {
  const name = await track.getCodec();
  const codec = name?.startsWith("pcm-") === true ? "pcm" : CODECS[name ?? "ulaw"];
  const { text, description } = await describeDecoder(track);
  return {
    kind,
    codec,
    codecName: name ?? "unknown",
    parameters: `${text} ${description.toHex()}`,
    ...(description.length === 0 ? {} : { configuration: description.toHex() }),
    width: track.isVideoTrack() ? await track.getCodedWidth() : null,
    height: track.isVideoTrack() ? await track.getCodedHeight() : null,
    ...(track.isVideoTrack() ? await displayOfTrack(track) : {}),
    preSkipMs: codec === "opus" ? opusPreSkipMs(description) : 0,
    ...(track.isAudioTrack()
      ? soundTraits(codec, description, await track.getNumberOfChannels())
      : {}),
  };
}

async function displayOfTrack(track: InputVideoTrack): Promise<PictureDisplay> {
  const [a, b, , c, d] = await track.getTransformationMatrix();
  const { num, den } = await track.getPixelAspectRatio();
  return { ...displayOf({ a, b, c, d }), pixelAspect: { width: num, height: den } };
}

async function describeDecoder(
  track: InputTrack,
): Promise<{ text: string; description: Uint8Array }> {
  if (track.isVideoTrack()) {
    const config = await track.getDecoderConfig();
    const text = `${config?.codec} ${config?.codedWidth}x${config?.codedHeight}`;
    return { text, description: bytesOf(config?.description) };
  }
  if (!track.isAudioTrack()) return { text: "", description: new Uint8Array() };
  const config = await track.getDecoderConfig();
  const text = `${config?.codec} ${config?.sampleRate} ${config?.numberOfChannels}`;
  return { text, description: bytesOf(config?.description) };
}

function bytesOf(bytes: ArrayBufferView | ArrayBufferLike | undefined): Uint8Array {
  if (bytes === undefined) return new Uint8Array();
  return ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
}

/** So many packets are counted at a stretch, in some 10 ms. */
const PACKETS_PER_TURN = 4_096;

async function countPackets(track: InputTrack, signal: AbortSignal): Promise<PacketCounter> {
  const counter = new PacketCounter(track.isVideoTrack() ? "video" : "audio");
  let packets = 0;
  for await (const packet of new EncodedPacketSink(track).packets(undefined, undefined, {
    metadataOnly: true,
  })) {
    packets += 1;
    // What is in memory comes without a wait, and nobody else would have a turn.
    if (packets % PACKETS_PER_TURN === 0) await setImmediate();
    signal.throwIfAborted();
    counter.add({
      atMs: packet.timestamp * 1_000,
      durationMs: packet.duration > 0 ? packet.duration * 1_000 : undefined,
      packets: 1,
      bytes: packet.byteLength,
      isVisible: true,
    });
  }
  return counter;
}
