/**
 * One frame of a chunk file: a header of fixed size, then the payload. All numbers little-endian.
 *
 * | offset | bytes | what |
 * | ------ | ----- | ---- |
 * | 0      | 4     | magic `TCF2`: Track Capture frame, version 2 |
 * | 4      | 8     | tag of the file: random, the same in all of its frames |
 * | 12     | 1     | kind: 1 segment, 2 chunk, 3 end, 4 index, 5 marks |
 * | 13     | 1     | zero |
 * | 14     | 2     | of a chunk: byte length of the payload of its marks, whose frame ends where this one begins; 0 without marks |
 * | 16     | 4     | sequence, of the chunk or of that to which the marks belong; 0 for all other kinds |
 * | 20     | 4     | byte length of the payload |
 * | 24     | 8     | capture time, ms since the epoch, float64; NaN when it is not known |
 * | 32     | 8     | arrival time, ms since the epoch, float64 |
 * | 40     | 8     | where the write began that this frame is part of, float64: all before it was durable then |
 * | 48     | 8     | where the newest index frame before that write lies, float64; 0 when there is none |
 * | 56     | 32    | SHA-256 of the payload |
 * | 88     | 4     | CRC-32 of bytes 0 to 87 |
 *
 * The payload of a `segment` frame, the first of each file and there twice, is its description as
 * JSON; that of an `end` frame is `{"chunkCount": n}`; that of an `index` frame tells where the frames
 * before it lie (index-frame.ts); that of a `marks` frame is a JSON array of the contract's marks, those
 * of the chunk right behind it. So a chunk file is understood without any other file. The tag is never
 * told to anyone, so no payload can pass for a frame, by chance or on purpose, when a damaged file is
 * searched for the next one.
 *
 * Marks and their chunk are parts of one write. Where that write was torn between them, or within the
 * marks, the chunk counts as absent: its header tells that there were marks.
 */
export const FRAME_HEADER_BYTES = 92;

/** Bytes of a file's tag. */
export const TAG_BYTES = 8;

const MAGIC = new Uint8Array([0x54, 0x43, 0x46, 0x32]);
const TAG_OFFSET_BYTES = MAGIC.length;
const SHA256_OFFSET_BYTES = 56;
const SHA256_BYTES = 32;
const CRC_OFFSET_BYTES = 88;

const KINDS = { segment: 1, chunk: 2, end: 3, index: 4, marks: 5 } as const;

/** What a frame is. */
export type FrameKind = keyof typeof KINDS;

/** What a frame's header says of its payload. */
export interface FrameHeader {
  readonly kind: FrameKind;
  readonly sequence: number;
  /** Of the payload, which follows the header. */
  readonly byteLength: number;
  /** Of the payload of the marks frame right before this one; 0 when there is none. */
  readonly marksBytes: number;
  readonly capturedAtMs: number | null;
  readonly receivedAtMs: number;
  /** Of the payload, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** What a frame's header says of its file. */
export interface FrameContext {
  /** `TAG_BYTES` bytes. */
  readonly tag: Uint8Array;
  /** Where the write of which the frame is part began: everything before it was durable then. */
  readonly writeOffsetBytes: number;
  /** Of the newest index frame before that write; 0 when there is none. */
  readonly indexOffsetBytes: number;
}

/** SHA-256 of `bytes`, 32 bytes. */
export function sha256Of(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

/** Encodes a header; gives `FRAME_HEADER_BYTES` bytes. */
export function encodeFrameHeader(header: FrameHeader, context: FrameContext): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  bytes.set(context.tag, TAG_OFFSET_BYTES);
  view.setUint8(12, KINDS[header.kind]);
  view.setUint16(14, header.marksBytes, true);
  view.setUint32(16, header.sequence, true);
  view.setUint32(20, header.byteLength, true);
  view.setFloat64(24, header.capturedAtMs ?? Number.NaN, true);
  view.setFloat64(32, header.receivedAtMs, true);
  view.setFloat64(40, context.writeOffsetBytes, true);
  view.setFloat64(48, context.indexOffsetBytes, true);
  bytes.set(header.sha256, SHA256_OFFSET_BYTES);
  view.setUint32(CRC_OFFSET_BYTES, Bun.hash.crc32(bytes.subarray(0, CRC_OFFSET_BYTES)), true);
  return bytes;
}

/**
 * Decodes the header at the start of `bytes`. Gives undefined for anything but an undamaged header:
 * too few bytes, another magic, a CRC that does not fit, an unknown kind, another file's tag.
 *
 * @param tag of the file; undefined when it is not known yet
 */
export function decodeFrameHeader(
  bytes: Uint8Array,
  tag: Uint8Array | undefined,
): (FrameHeader & FrameContext) | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  const crc = Bun.hash.crc32(bytes.subarray(0, CRC_OFFSET_BYTES));
  if (view.getUint32(CRC_OFFSET_BYTES, true) !== crc) return undefined;
  const ownTag = bytes.slice(TAG_OFFSET_BYTES, TAG_OFFSET_BYTES + TAG_BYTES);
  if (tag !== undefined && Buffer.compare(tag, ownTag) !== 0) return undefined;
  const kind = kindOf(view.getUint8(12));
  if (kind === undefined) return undefined;
  const capturedAtMs = view.getFloat64(24, true);
  return {
    kind,
    sequence: view.getUint32(16, true),
    byteLength: view.getUint32(20, true),
    marksBytes: view.getUint16(14, true),
    capturedAtMs: Number.isNaN(capturedAtMs) ? null : capturedAtMs,
    receivedAtMs: view.getFloat64(32, true),
    sha256: bytes.slice(SHA256_OFFSET_BYTES, SHA256_OFFSET_BYTES + SHA256_BYTES),
    tag: ownTag,
    writeOffsetBytes: view.getFloat64(40, true),
    indexOffsetBytes: view.getFloat64(48, true),
  };
}

/** The bytes with which every header of a file begins; without a tag, those of any file. */
export function frameSignature(tag: Uint8Array | undefined): Buffer {
  return tag === undefined ? Buffer.from(MAGIC) : Buffer.concat([MAGIC, tag]);
}

function kindOf(code: number): FrameKind | undefined {
  switch (code) {
    case KINDS.segment:
      return "segment";
    case KINDS.chunk:
      return "chunk";
    case KINDS.end:
      return "end";
    case KINDS.index:
      return "index";
    case KINDS.marks:
      return "marks";
    default:
      return undefined;
  }
}
