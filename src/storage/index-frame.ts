/** A chunk's frame, as an index frame tells of it. */
export interface IndexEntry {
  readonly sequence: number;
  /** Of the payload. */
  readonly byteLength: number;
  /** Of the frame's header, from the start of the file. */
  readonly offsetBytes: number;
  /** Whether a frame with its marks stands right before it. */
  readonly hasMarks: boolean;
}

/**
 * What an index frame says: the chunks since the index frame before it, and what the segment knew
 * then. The frames of a file's index form a chain from the newest to the first, through the header's
 * offset of the one before.
 *
 * Payload: chunk count (int32, -1 when it is not told), number of entries (uint32), newest arrival
 * (float64), then for each entry sequence (uint32, its highest bit set when the chunk has marks), byte
 * length (uint32), offset (float64).
 */
export interface IndexPage {
  /** In the order in which they were written. */
  readonly entries: readonly IndexEntry[];
  /** Total of the segment, once told. */
  readonly chunkCount: number | null;
  /** When the newest chunk up to here arrived. */
  readonly lastChunkAtMs: number;
}

const HEAD_BYTES = 16;

/** Bytes of an index frame's payload for each chunk. */
export const INDEX_ENTRY_BYTES = 16;

const NO_CHUNK_COUNT = -1;

/** No sequence has this bit: the highest is 2^31 - 1 (SEQUENCE_MAX). */
const MARKED_BIT = 0x8000_0000;

/** Encodes the payload of an index frame. */
export function encodeIndexPage({ entries, chunkCount, lastChunkAtMs }: IndexPage): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + entries.length * INDEX_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, chunkCount ?? NO_CHUNK_COUNT, true);
  view.setUint32(4, entries.length, true);
  view.setFloat64(8, lastChunkAtMs, true);
  for (const [i, { sequence, byteLength, offsetBytes, hasMarks }] of entries.entries()) {
    const at = HEAD_BYTES + i * INDEX_ENTRY_BYTES;
    view.setUint32(at, hasMarks ? sequence + MARKED_BIT : sequence, true);
    view.setUint32(at + 4, byteLength, true);
    view.setFloat64(at + 8, offsetBytes, true);
  }
  return bytes;
}

/** Decodes the payload of an index frame whose hash fitted. */
export function decodeIndexPage(payload: Uint8Array): IndexPage {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const chunkCount = view.getInt32(0, true);
  const entries = Array.from({ length: view.getUint32(4, true) }, (_, i): IndexEntry => {
    const at = HEAD_BYTES + i * INDEX_ENTRY_BYTES;
    const word = view.getUint32(at, true);
    return {
      sequence: word % MARKED_BIT,
      byteLength: view.getUint32(at + 4, true),
      offsetBytes: view.getFloat64(at + 8, true),
      hasMarks: word >= MARKED_BIT,
    };
  });
  return {
    entries,
    chunkCount: chunkCount === NO_CHUNK_COUNT ? null : chunkCount,
    lastChunkAtMs: view.getFloat64(8, true),
  };
}
