/** An element's header: RFC 8794, sections 5 and 6. */
export interface EbmlHeader {
  /** The ID with its length marker, as specifications write it: 0x1a45dfa3. */
  readonly id: number;
  readonly headerBytes: number;
  /** Undefined when the size is unknown: the element ends where one of a higher level begins. */
  readonly dataBytes: number | undefined;
}

/** Longest ID and longest size together: RFC 8794 allows 4 and 8 in Matroska. */
export const EBML_HEADER_BYTES_MAX = 12;

const ID_LENGTH_MAX = 4;

/**
 * Reads the header at `offset`: `"short"` when `bytes` ends before the header does, `"invalid"`
 * when no header can begin like this.
 */
export function readEbmlHeader(
  bytes: Uint8Array,
  offset: number,
): EbmlHeader | "short" | "invalid" {
  const first = bytes[offset];
  if (first === undefined) return "short";
  const idLength = Math.clz32(first) - 23;
  if (idLength > ID_LENGTH_MAX) return "invalid";
  const sizeFirst = bytes[offset + idLength];
  if (sizeFirst === undefined) return "short";
  const sizeLength = Math.clz32(sizeFirst) - 23;
  if (sizeLength > 8) return "invalid";
  const headerBytes = idLength + sizeLength;
  if (offset + headerBytes > bytes.length) return "short";
  const mask = (1 << (8 - sizeLength)) - 1;
  let isUnknown = (sizeFirst & mask) === mask;
  let dataBytes = sizeFirst & mask;
  for (let i = offset + idLength + 1; i < offset + headerBytes; i += 1) {
    const byte = bytes[i] ?? 0;
    dataBytes = dataBytes * 256 + byte;
    isUnknown &&= byte === 0xff;
  }
  if (!isUnknown && dataBytes > Number.MAX_SAFE_INTEGER) return "invalid";
  return {
    id: readUnsigned(bytes, offset, idLength),
    headerBytes,
    dataBytes: isUnknown ? undefined : dataBytes,
  };
}

/** A variable-length number as in a block's track number; undefined when it is cut off or invalid. */
export function readVint(
  bytes: Uint8Array,
  offset: number,
): { value: number; length: number } | undefined {
  const first = bytes[offset];
  if (first === undefined) return undefined;
  const length = Math.clz32(first) - 23;
  if (length > 8 || offset + length > bytes.length) return undefined;
  let value = first & ((1 << (8 - length)) - 1);
  for (let i = 1; i < length; i += 1) value = value * 256 + (bytes[offset + i] ?? 0);
  return { value, length };
}

/** A big-endian unsigned integer of `length` bytes. */
export function readUnsigned(bytes: Uint8Array, offset: number, length: number): number {
  let value = 0;
  for (let i = offset; i < offset + length; i += 1) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** The elements directly inside `bytes`; stops at the first that does not fit. */
export function* ebmlChildren(
  bytes: Uint8Array,
): Generator<{ readonly id: number; readonly data: Uint8Array }> {
  for (let offset = 0; offset < bytes.length;) {
    const header = readEbmlHeader(bytes, offset);
    if (header === "short" || header === "invalid" || header.dataBytes === undefined) return;
    const from = offset + header.headerBytes;
    const to = from + header.dataBytes;
    if (to > bytes.length) return;
    yield { id: header.id, data: bytes.subarray(from, to) };
    offset = to;
  }
}
