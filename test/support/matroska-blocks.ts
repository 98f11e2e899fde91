import { ebmlChildren, readEbmlHeader, readUnsigned, readVint } from "../../src/finalize/ebml.ts";

/** Matroska's IDs (RFC 9559). */
const CLUSTER = 0x1f43b675;
export const TIMESTAMP = 0xe7;
export const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const REFERENCE_BLOCK = 0xfb;
const INFO = 0x1549a966;
const TIMESTAMP_SCALE = 0x2ad7b1;
const KEY_FLAG = 0x80;
const TRACK_NUMBER_VIDEO = 1;

/** A picture or a packet of sound of a recorder. */
export interface Block {
  /** Where its element begins, in bytes from the recording's begin. */
  readonly atBytes: number;
  readonly isVideo: boolean;
  readonly beginsCluster: boolean;
  readonly clusterMs: number;
  readonly timeMs: number;
  readonly isKey: boolean;
  /** What is behind the block's head. */
  readonly data: Uint8Array;
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
  let tickMs = 1;
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
      clusterMs = readUnsigned(data, 0, data.length) * tickMs;
      isFirst = true;
    } else if (id === INFO) {
      for (const child of ebmlChildren(data)) {
        if (child.id !== TIMESTAMP_SCALE) continue;
        tickMs = readUnsigned(child.data, 0, child.data.length) / 1e6;
      }
    } else if (id === SIMPLE_BLOCK || id === BLOCK_GROUP) {
      const children = id === BLOCK_GROUP ? [...ebmlChildren(data)] : [];
      const body = id === BLOCK_GROUP ? children.find((child) => child.id === BLOCK)?.data : data;
      const track = body && readVint(body, 0);
      if (body === undefined || track === undefined)
        throw new Error(`A block without a track at ${offset}`);
      const relativeTicks = new DataView(body.buffer, body.byteOffset).getInt16(track.length);
      const isReferring = children.some((child) => child.id === REFERENCE_BLOCK);
      const hasFlag = ((body[track.length + 2] ?? 0) & KEY_FLAG) !== 0;
      blocks.push({
        atBytes: offset,
        isVideo: track.value === TRACK_NUMBER_VIDEO,
        beginsCluster: isFirst,
        clusterMs,
        timeMs: clusterMs + relativeTicks * tickMs,
        isKey: id === BLOCK_GROUP ? !isReferring : hasFlag,
        data: body.subarray(track.length + 3),
        body,
      });
      isFirst = false;
    }
    offset = from + dataBytes;
  }
  if (header === undefined) throw new Error("The recording has no cluster");
  return { header, blocks };
}
