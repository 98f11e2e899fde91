/**
 * One frame of a chunk file: a header of fixed size, then the payload. All numbers little-endian.
 *
 * | offset | bytes | what |
 * | ------ | ----- | ---- |
 * | 0      | 4     | magic `TCF1`: Track Capture frame, version 1 |
 * | 4      | 1     | kind: 1 segment, 2 chunk, 3 end |
 * | 5      | 3     | zero |
 * | 8      | 4     | sequence (0 for the other kinds) |
 * | 12     | 4     | byte length of the payload |
 * | 16     | 8     | capture time, ms since the epoch, float64; NaN when it is not known |
 * | 24     | 8     | arrival time, ms since the epoch, float64 |
 * | 32     | 32    | SHA-256 of the payload |
 * | 64     | 4     | CRC-32 of bytes 0 to 63 |
 *
 * The payload of a `segment` frame, the first of each file, is its description as JSON; that of an
 * `end` frame is `{"chunkCount": n}`. So a chunk file is understood without any other file.
 */
export const FRAME_HEADER_BYTES = 68;

const MAGIC = new Uint8Array([0x54, 0x43, 0x46, 0x31]);
const SHA256_BYTES = 32;
const CRC_OFFSET_BYTES = 64;

const KINDS = { segment: 1, chunk: 2, end: 3 } as const;

/** What a frame is. */
export type FrameKind = keyof typeof KINDS;

/** A frame's header, decoded. */
export interface FrameHeader {
  readonly kind: FrameKind;
  readonly sequence: number;
  /** Of the payload, which follows the header. */
  readonly byteLength: number;
  readonly capturedAtMs: number | null;
  readonly receivedAtMs: number;
  /** Of the payload, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** SHA-256 of `bytes`, 32 bytes. */
export function sha256Of(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(bytes).digest();
}

/** Encodes a header; gives `FRAME_HEADER_BYTES` bytes. */
export function encodeFrameHeader(header: FrameHeader): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC, 0);
  view.setUint8(4, KINDS[header.kind]);
  view.setUint32(8, header.sequence, true);
  view.setUint32(12, header.byteLength, true);
  view.setFloat64(16, header.capturedAtMs ?? Number.NaN, true);
  view.setFloat64(24, header.receivedAtMs, true);
  bytes.set(header.sha256, 32);
  view.setUint32(CRC_OFFSET_BYTES, Bun.hash.crc32(bytes.subarray(0, CRC_OFFSET_BYTES)), true);
  return bytes;
}

/**
 * Decodes the header at the start of `bytes`. Gives undefined for anything but an undamaged header:
 * too few bytes, another magic, a CRC that does not fit, an unknown kind.
 */
export function decodeFrameHeader(bytes: Uint8Array): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  const crc = Bun.hash.crc32(bytes.subarray(0, CRC_OFFSET_BYTES));
  if (view.getUint32(CRC_OFFSET_BYTES, true) !== crc) return undefined;
  const kind = kindOf(view.getUint8(4));
  if (kind === undefined) return undefined;
  const capturedAtMs = view.getFloat64(16, true);
  return {
    kind,
    sequence: view.getUint32(8, true),
    byteLength: view.getUint32(12, true),
    capturedAtMs: Number.isNaN(capturedAtMs) ? null : capturedAtMs,
    receivedAtMs: view.getFloat64(24, true),
    sha256: bytes.slice(32, 32 + SHA256_BYTES),
  };
}

/** Offset of the first place in `bytes` at which a header could begin, from `fromBytes`; -1 if none. */
export function indexOfFrameMagic(bytes: Buffer, fromBytes: number): number {
  return bytes.indexOf(MAGIC, fromBytes);
}

function kindOf(code: number): FrameKind | undefined {
  if (code === KINDS.segment) return "segment";
  if (code === KINDS.chunk) return "chunk";
  if (code === KINDS.end) return "end";
  return undefined;
}
