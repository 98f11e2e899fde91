import { readEbmlHeader, readUnsigned, readVint } from "../../src/finalize/ebml.ts";

/** Matroska's IDs (RFC 9559). */
const CLUSTER = 0x1f43b675;
export const TIMESTAMP = 0xe7;
export const SIMPLE_BLOCK = 0xa3;
const TRACK_NUMBER_VIDEO = 1;

/** A picture or a packet of sound of a recorder. */
export interface Block {
  /** Where its element begins, in bytes from the recording's begin. */
  readonly atBytes: number;
  readonly isVideo: boolean;
  readonly beginsCluster: boolean;
  readonly clusterMs: number;
  readonly timeMs: number;
  /** The block without its element's header: track, time within the cluster, flags and data. */
  readonly body: Uint8Array;
}

/** All blocks of a browser's Matroska or WebM, and what stands before the first cluster. */
export function parseRecording(bytes: Uint8Array): {
  readonly header: Uint8Array;
  readonly blocks: readonly Block[];
} {
  const blocks: Block[] = [];
  let header: Uint8Array | undefined;
  let clusterMs = 0;
  let isFirst = false;
  for (let offset = 0; offset < bytes.length;) {
    const element = readEbmlHeader(bytes, offset);
    if (typeof element === "string") throw new Error(`No element at ${offset}`);
    const { id, headerBytes, dataBytes } = element;
    const from = offset + headerBytes;
    if (dataBytes === undefined) {
      // The segment and its clusters, whose content follows.
      if (id === CLUSTER) header ??= bytes.subarray(0, offset);
      offset = from;
      continue;
    }
    const data = bytes.subarray(from, from + dataBytes);
    if (id === TIMESTAMP) {
      clusterMs = readUnsigned(data, 0, data.length);
      isFirst = true;
    } else if (id === SIMPLE_BLOCK) {
      const track = readVint(data, 0);
      if (track === undefined) throw new Error(`A block without a track at ${offset}`);
      const relativeMs = new DataView(data.buffer, data.byteOffset).getInt16(track.length);
      blocks.push({
        atBytes: offset,
        isVideo: track.value === TRACK_NUMBER_VIDEO,
        beginsCluster: isFirst,
        clusterMs,
        timeMs: clusterMs + relativeMs,
        body: data,
      });
      isFirst = false;
    }
    offset = from + dataBytes;
  }
  if (header === undefined) throw new Error("The recording has no cluster");
  return { header, blocks };
}
