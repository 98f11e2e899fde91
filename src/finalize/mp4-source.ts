import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import {
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputTrack,
  type InputVideoTrack,
  MATROSKA,
  type MediaCodec,
  MP4,
  WEBM,
} from "mediabunny";
import { FileUnreadableError } from "./finalize-errors.ts";
import { keyframeHeaderOf } from "./keyframe-header.ts";
import type { SourceCounts } from "./media-check.ts";
import { refuseImpossibleSampleCounts } from "./mp4-sample-bounds.ts";
import { presentedMs } from "./mp4-sample-tables.ts";
import { type SourceTable, readSourceTables, withoutLeading } from "./mp4-source-tables.ts";
import { PacketCounter } from "./packet-counter.ts";
import { type PictureDisplay, displayOf } from "./picture-display.ts";
import {
  type Hole,
  type SourceStream,
  type SourceStreams,
  type StreamCodec,
  type StreamCount,
  opusPreSkipMs,
  soundTraits,
} from "./source-stream.ts";

/** A plain file and what it holds. */
export interface FileProbe {
  readonly streams: SourceStreams;
  readonly counts: SourceCounts;
}

/** A recorder's MP4 whose own index was followed to the end, and what it holds. */
export interface Mp4Probe extends FileProbe {
  /**
   * Of all its tracks of picture and sound, from the first keyframe on; undefined where the index cannot
   * be followed, or another reader finds other samples.
   */
  readonly tables: readonly SourceTable[] | undefined;
  /** When the first stream begins to be seen or heard, on the file's own clock: 0 of the counts. */
  readonly startMs: number;
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

/**
 * Reads what a recorder's MP4 holds by its own index: pictures and sound from when they are seen and
 * heard on, which is media time 0. Two readers must find the same packets.
 *
 * @param gapsBytes where in the file a fragment follows that others may have been lost before
 * @throws MediaUnreadableError, file system errors
 */
export async function probeMp4(
  path: string,
  signal: AbortSignal,
  gapsBytes: readonly number[] = [],
): Promise<Mp4Probe> {
  const { streams, counts } = await probeFile(path, signal);
  const unknown = { streams, counts, tables: undefined, startMs: 0 };
  const tables = await readSourceTables(path, signal);
  const first = (kind: "video" | "audio"): SourceTable | undefined =>
    tables?.find((table) => table.kind === kind && table.count > 0);
  const [video, audio] = [first("video"), first("audio")];
  const isSame =
    tables !== undefined && haveSame(video, counts.video) && haveSame(audio, counts.audio);
  if (!isSame) return unknown;
  const othersFrom = (startMs: number): StreamCount[] =>
    (streams.others ?? []).flatMap(({ kind, position = 0 }) => {
      const table = tables.filter((own) => own.kind === kind)[position];
      return table === undefined ? [] : [countOf(table, startMs)];
    });
  const { table: pictures, leading } =
    video === undefined ? { table: undefined, leading: 0 } : await fromKeyframe(path, video);
  const shown = [pictures, audio].flatMap((table) => (table?.count ? table.shownFromMs : []));
  // Where nothing can be decoded, what there is is passed on as it is.
  if (video === undefined || pictures === undefined || pictures.count === 0) {
    const startMs =
      video === undefined ? Math.min(...shown) : Math.min(video.shownFromMs, ...shown);
    const whole = {
      video: video && countOf(video, startMs, gapsBytes),
      audio: audio && countOf(audio, startMs),
      others: othersFrom(startMs),
    };
    return shown.length === 0 && video === undefined
      ? unknown
      : { streams, counts: whole, tables, startMs };
  }
  // The time before the first keyframe is told as missing.
  const startMs = Math.min(video.shownFromMs, ...shown);
  const count = countOf(pictures, startMs, gapsBytes);
  const resumesMs = video.shownFromMs - startMs;
  const isCovered = (count.primingMs ?? 0) > 1;
  const gap: Hole = { fromMs: 0, toMs: pictures.shownFromMs - startMs, resumesMs };
  return {
    streams:
      isCovered && streams.video !== undefined
        ? { ...streams, video: { ...streams.video, hidesPictures: true } }
        : streams,
    counts: {
      video: leading > 0 ? { ...count, leading: gap } : count,
      audio: audio && countOf(audio, startMs),
      others: othersFrom(startMs),
    },
    tables: tables.map((table) => (table === video ? pictures : table)),
    startMs,
  };
}

function haveSame(table: SourceTable | undefined, count: StreamCount | undefined): boolean {
  if (table === undefined) return (count?.packets ?? 0) === 0;
  const bytes = table.sizes.reduce((sum, size) => sum + size, 0);
  if (table.lost > 0) return table.count + table.lost === count?.packets;
  return table.count === count?.packets && (count.bytes === undefined || count.bytes === bytes);
}

/** The pictures from the first on that can be decoded by itself, as its own header says. */
async function fromKeyframe(
  path: string,
  table: SourceTable,
): Promise<{ table: SourceTable; leading: number }> {
  const isSync = table.isSync?.slice() ?? new Uint8Array(table.count).fill(1);
  const judges = table.entries.map(keyframeHeaderOf);
  const handle = await open(path, "r");
  try {
    let first: number | undefined;
    for (let i = 0; i < table.count; i += 1) {
      // Behind the first keyframe only those are looked at that claim to be one.
      if (first !== undefined && isSync[i] === 0) continue;
      const judge = judges[table.entryIndexes?.[i] ?? 0];
      const isKey = await judge?.(handle, table.offsetsBytes[i] ?? 0, table.sizes[i] ?? 0);
      if (isKey !== undefined) isSync[i] = isKey ? 1 : 0;
      if (isSync[i] === 1) first ??= i;
    }
    return {
      table: withoutLeading({ ...table, isSync }, first ?? table.count),
      leading: first ?? 0,
    };
  } finally {
    await handle.close();
  }
}

/**
 * Whether a sample is not decoded when the one before it ends: across a gap of the file, some of its track
 * were lost. Where it is, only other tracks lost any.
 */
function isApart({ decodeTicks, durationTicks }: SourceTable, i: number): boolean {
  if (i === 0) return false;
  const stepTicks = (decodeTicks[i] ?? 0) - (decodeTicks[i - 1] ?? 0);
  const endTicks = durationTicks[i - 1] ?? 0;
  return endTicks === 0 || Math.abs(stepTicks - endTicks) > endTicks / 2;
}

/** @param startMs of the file's own clock, which becomes 0 */
function countOf(
  table: SourceTable,
  startMs: number,
  gapsBytes: readonly number[] = [],
): StreamCount {
  const { kind, count, durationTicks, ticksPerSecond, shownFromMs } = table;
  const shownToMs = table.shownToMs ?? Infinity;
  const isSync = (i: number): boolean => table.isSync?.[i] !== 0;
  const counter = new PacketCounter(kind);
  let firstMs = Infinity;
  let needsLost = false;
  let gap = 0;
  for (let i = 0; i < count; i += 1) {
    const atMs = presentedMs(table, i);
    const gapsBefore = gap;
    while ((gapsBytes[gap] ?? Infinity) <= (table.offsetsBytes[i] ?? 0)) gap += 1;
    const isBehindLoss = gap > gapsBefore && isApart(table, i);
    needsLost = kind === "video" && !isSync(i) && (needsLost || isBehindLoss);
    const durationMs = ((durationTicks[i] ?? 0) / ticksPerSecond) * 1_000;
    firstMs = Math.min(firstMs, atMs);
    counter.add({
      atMs: atMs - startMs,
      durationMs: durationMs > 0 ? durationMs : undefined,
      packets: 1,
      bytes: table.sizes[i] ?? 0,
      isVisible: atMs < shownToMs && (atMs >= shownFromMs || atMs + durationMs > shownFromMs),
      needsLost,
    });
  }
  counter.end();
  const { packets, visiblePackets, bytes, lastMs, endMs, holes, deficitMs, packetMs } = counter;
  return {
    packets,
    visiblePackets,
    bytes,
    firstMs: shownFromMs - startMs,
    primingMs: shownFromMs - firstMs,
    lastMs,
    endMs: endMs === undefined ? undefined : Math.min(endMs, shownToMs - startMs),
    holes,
    deficitMs,
    packetMs,
  };
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
      ? soundTraits(codec, description, await channelsOf(track, codec))
      : {}),
  };
}

/** The two highest bits of a frame's fourth byte: one channel (ISO/IEC 11172-3, 2.4.1.3). */
const MP3_SINGLE_CHANNEL = 3;

/** As the sample entry has it, where ffmpeg writes two for MP3 of one channel; its frames know better. */
async function channelsOf(track: InputAudioTrack, codec: StreamCodec | undefined): Promise<number> {
  const claimed = await track.getNumberOfChannels();
  if (codec !== "mp3") return claimed;
  const first = await new EncodedPacketSink(track).getFirstPacket();
  return (first?.data[3] ?? 0) >> 6 === MP3_SINGLE_CHANNEL ? 1 : claimed;
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
