import { elementHeader, clusterHeader } from "../support/looped-media.ts";
import { SIMPLE_BLOCK, parseRecording } from "../support/matroska-blocks.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";

const CHUNK_MS = 1_000;
const SOUND_PACKET_MS = 60;
const KEY_FLAG = 0x80;

/** What a long recording is like. */
export interface LiveSource {
  readonly bytesPerSecond: number;
  /** A keyframe begins every so often; infinite for a recorder that makes only the first. */
  readonly keyframeMs: number;
}

/**
 * A chunk for each second of a browser's H.264 and Opus that is repeated with right times. Its
 * pictures are filled up to the bit rate and their key flags are set anew: it looks to a server like
 * what a recorder gives, and cannot be decoded.
 */
export async function* liveChunks({
  bytesPerSecond,
  keyframeMs,
}: LiveSource): AsyncGenerator<Buffer> {
  const { chunks } = await recordedSegment("h264-opus");
  const { header, blocks } = parseRecording(joinChunks(chunks));
  const periodMs = blocks.filter(({ isVideo }) => !isVideo).length * SOUND_PACKET_MS;
  const pictures = blocks.filter(({ isVideo }) => isVideo).length;
  const blockBytes = blocks.reduce((sum, { body }) => sum + body.length, 0);
  const fillBytes = Math.max(0, (bytesPerSecond * periodMs) / 1_000 - blockBytes) / pictures;
  const filling = crypto.getRandomValues(new Uint8Array(Math.min(65_536, Math.floor(fillBytes))));
  let parts: Uint8Array[] = [header];
  let nextKeyMs = 0;
  let endMs = CHUNK_MS;
  let clusterMs = -Infinity;
  for (let shiftMs = 0; ; shiftMs += periodMs) {
    for (const block of blocks) {
      const atMs = block.timeMs + shiftMs;
      if (atMs >= endMs) {
        yield Buffer.concat(parts);
        parts = [];
        endMs += CHUNK_MS;
      }
      const isKey = block.isVideo && atMs >= nextKeyMs;
      if (isKey) nextKeyMs = atMs + keyframeMs;
      // Chromium begins a Cluster with each keyframe, and in time before 16 bits are too few.
      if (isKey || atMs - clusterMs > 10_000) {
        clusterMs = atMs;
        parts.push(clusterHeader(atMs));
      }
      const body = Buffer.from(block.body);
      body.writeInt16BE(atMs - clusterMs, 1);
      body[3] = isKey || !block.isVideo ? KEY_FLAG : 0;
      const addition = block.isVideo ? filling : new Uint8Array();
      parts.push(elementHeader(SIMPLE_BLOCK, body.length + addition.length), body, addition);
    }
  }
}
