import { type Block, SIMPLE_BLOCK, TIMESTAMP, parseRecording } from "./matroska-blocks.ts";
import { joinChunks, recordedSegment } from "./recorded-media.ts";

/** An Opus packet of Chromium's recorder. */
const SOUND_PACKET_MS = 60;

/** A packet of the silence that the MP4 has for lost sound. */
const SILENT_PACKET_MS = 20;

/** Which packet of a loop is lost, in those in which one is. */
const LOST_PACKET = 20;

/** Length of a chunk, as the recorder's timeslice. */
const CHUNK_MS = 1_000;

/** One slice of a long recording, as a browser's recorder would have given it. */
export interface LoopedChunk {
  readonly sequence: number;
  readonly beginMs: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** A recording of any length, made of a real one that is repeated with right times. */
export interface LoopedMedia {
  readonly mimeType: string;
  readonly durationMs: number;
  readonly videoPackets: number;
  /** With the silent ones that stand for those that are lost. */
  readonly audioPackets: number;
  /** Numbers in the barcodes of the first and the last picture. */
  readonly firstNumber: number;
  readonly lastNumber: number;
  /** Makes them one after the other; each call begins anew. */
  chunks(): Generator<LoopedChunk>;
}

/**
 * Repeats a browser's own H.264 and Opus, six seconds with numbered pictures, and brings it to a bit
 * rate: each picture gets a message that decoders skip, of bytes that do not compress.
 *
 * @param options.lostPackets of sound, spread over all; by default none
 */
export async function loopedMedia(options: {
  readonly durationMs: number;
  readonly bitsPerSecond: number;
  readonly lostPackets?: number;
}): Promise<LoopedMedia> {
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  const source = joinChunks(chunks);
  const { header, blocks } = parseRecording(source);
  const pictures = blocks.filter(({ isVideo }) => isVideo);
  // Sound has no gap and no overlap where the recording begins again.
  const periodMs = (blocks.length - pictures.length) * SOUND_PACKET_MS;
  const loops = Math.ceil(options.durationMs / periodMs);
  const wantedBytes = (options.bitsPerSecond / 8) * (periodMs / 1000);
  const messageBytes = Math.max(0, Math.round((wantedBytes - source.length) / pictures.length));
  const message = skippedMessage(messageBytes);
  const lostPackets = Math.min(options.lostPackets ?? 0, loops);
  const isLossy = (loop: number): boolean =>
    Math.floor(((loop + 1) * lostPackets) / loops) > Math.floor((loop * lostPackets) / loops);
  return {
    mimeType,
    durationMs: loops * periodMs,
    videoPackets: loops * pictures.length,
    audioPackets:
      loops * (blocks.length - pictures.length) +
      lostPackets * (SOUND_PACKET_MS / SILENT_PACKET_MS - 1),
    firstNumber: 0,
    lastNumber: pictures.length - 1,
    chunks: () => loopedChunks(header, blocks, message, { loops, periodMs, isLossy }),
  };
}

interface Loops {
  readonly loops: number;
  readonly periodMs: number;
  readonly isLossy: (loop: number) => boolean;
}

function* loopedChunks(
  header: Uint8Array,
  blocks: readonly Block[],
  message: Uint8Array,
  { loops, periodMs, isLossy }: Loops,
): Generator<LoopedChunk> {
  let sequence = 0;
  let parts: Uint8Array[] = [header];
  for (let loop = 0; loop < loops; loop += 1) {
    let soundPacket = 0;
    for (const block of blocks) {
      const shiftMs = loop * periodMs;
      if (block.timeMs + shiftMs >= (sequence + 1) * CHUNK_MS) {
        yield {
          sequence,
          beginMs: sequence * CHUNK_MS,
          payload: new Uint8Array(Buffer.concat(parts)),
        };
        sequence += 1;
        parts = [];
      }
      if (block.beginsCluster) parts.push(clusterHeader(block.clusterMs + shiftMs));
      if (!block.isVideo) soundPacket += 1;
      if (!block.isVideo && soundPacket === LOST_PACKET && isLossy(loop)) continue;
      const { body } = block;
      const addition = block.isVideo ? message : new Uint8Array();
      parts.push(elementHeader(SIMPLE_BLOCK, body.length + addition.length), body, addition);
    }
  }
  yield { sequence, beginMs: sequence * CHUNK_MS, payload: new Uint8Array(Buffer.concat(parts)) };
}

/**
 * A NAL unit of supplemental information, "user data unregistered" (ITU-T H.264, D.1.7): 16 bytes of
 * an ID and then anything. No byte is zero, so that nothing in it looks like a start code.
 */
function skippedMessage(bytes: number): Uint8Array {
  const startCode = [0, 0, 0, 1];
  const end = 0x80;
  const contentBytes = bytes - startCode.length - 3 - Math.floor(bytes / 255);
  if (contentBytes < 16) return new Uint8Array();
  const content = new Uint8Array(contentBytes);
  let state = 1;
  for (const i of content.keys()) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    content[i] = 1 + ((state >>> 16) % 255);
  }
  const size = [
    ...Array.from({ length: Math.floor(contentBytes / 255) }, () => 255),
    contentBytes % 255,
  ];
  return Uint8Array.from(
    Buffer.concat([Uint8Array.from([...startCode, 6, 5, ...size]), content, Uint8Array.of(end)]),
  );
}

/** A Cluster of unknown size with its timestamp. */
export function clusterHeader(timestampMs: number): Uint8Array {
  const timestamp = Buffer.alloc(6);
  timestamp.writeUIntBE(timestampMs, 0, 6);
  const unknownSize = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
  return Buffer.concat([
    Uint8Array.from([0x1f, 0x43, 0xb6, 0x75, ...unknownSize, TIMESTAMP, 0x80 + timestamp.length]),
    timestamp,
  ]);
}

/** An element with a size of four bytes, as libwebm writes it. */
export function elementHeader(id: number, dataBytes: number): Uint8Array {
  const header = Buffer.alloc(5);
  header.writeUInt8(id, 0);
  header.writeUInt32BE(0x1000_0000 + dataBytes, 1);
  return header;
}
