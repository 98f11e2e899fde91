/** The container formats that a MediaRecorder makes; WebM is a subset of Matroska. */
export type Container = "matroska" | "mp4";

const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;
const FTYP = [0x66, 0x74, 0x79, 0x70] as const;
/** An `ftyp` box begins with its size, then its name (ISO/IEC 14496-12, 4.2). */
const FTYP_OFFSET_BYTES = 4;

const MIME_CONTAINERS: ReadonlyMap<string, Container> = new Map([
  ["video/webm", "matroska"],
  ["audio/webm", "matroska"],
  ["video/x-matroska", "matroska"],
  ["audio/x-matroska", "matroska"],
  ["video/mp4", "mp4"],
  ["audio/mp4", "mp4"],
]);

/**
 * The container that a MIME type names, without regard to its parameters.
 * `undefined` for an empty type (a recorder's `mimeType` can be empty); `"unsupported"` for others.
 */
export function containerOfMimeType(mimeType: string): Container | "unsupported" | undefined {
  const essence = (mimeType.split(";", 1)[0] ?? "").trim().toLowerCase();
  if (essence === "") return undefined;
  return MIME_CONTAINERS.get(essence) ?? "unsupported";
}

function matches(bytes: Uint8Array, offsetBytes: number, magic: readonly number[]): boolean {
  return magic.every((value, i) => {
    const byte = bytes[offsetBytes + i];
    return byte === undefined || byte === value;
  });
}

/**
 * The container whose header `bytes` begins with. A first chunk can be a single byte (Chromium, see
 * RecordRTC#657), so bytes that are not there yet count as fitting; at least one must be.
 */
export function containerOfHeader(bytes: Uint8Array): Container | undefined {
  if (bytes.length === 0) return undefined;
  if (matches(bytes, 0, EBML_MAGIC)) return "matroska";
  // A box size of 16 MiB or more is no ftyp: the first byte is zero in every real file, and the only
  // byte that can tell an MP4 when there is just one.
  if (bytes[0] === 0 && matches(bytes, FTYP_OFFSET_BYTES, FTYP)) return "mp4";
  return undefined;
}

/** Whether `bytes` holds a whole container signature, as the first chunk of a new segment does. */
export function beginsWithContainerHeader(bytes: Uint8Array): boolean {
  return bytes.length >= FTYP_OFFSET_BYTES + FTYP.length && containerOfHeader(bytes) !== undefined;
}
