/**
 * A part of a form beside its value: the delimiter, whose boundary has at most 70 characters (RFC
 * 2046, 5.1.1), and the headers with the part's name and `filename="blob"`.
 */
const PART_BYTES_MAX = 208;

/** Parts of a form that are there once, and its closing delimiter: see `IngestApi`. */
const COMMON_PARTS = 6;

/** A JavaScript character is at most so many bytes of UTF-8. */
const BYTES_PER_CHARACTER_MAX = 3;

/** A mark's times, and a chunk's, may get more digits when they are put on the server's clock. */
const STAMP_BYTES_MAX = 32;

/** Hexadecimal. */
const SHA256_BYTES = 64;

/** Of the fields that a form has once, with the longest words. */
export const COMMON_FORM_BYTES_MAX = 4_096;

/** What a chunk's part of a form depends on, beside its payload. */
export interface FormChunk {
  readonly mimeType: string;
  /** A list of marks, or what an older version of this library wrote in its place. */
  readonly marks: unknown;
}

/** What the fields of a form depend on that it has once. */
export interface FormAddress {
  readonly participantId: string;
  readonly trackId: string;
  readonly segmentId: string;
  readonly mimeType: string;
}

/**
 * Most bytes that a chunk adds to the body of a request beside its payload: its parts with payload,
 * time, hash and marks. Proxies limit the body as a whole.
 */
export function chunkFormBytes({ mimeType, marks }: FormChunk): number {
  const bytes = 3 * PART_BYTES_MAX + mimeType.length + STAMP_BYTES_MAX + SHA256_BYTES;
  if (!Array.isArray(marks) || marks.length === 0) return bytes;
  // Of a mark's names all characters are ASCII; it has two times at most.
  const marksBytes = JSON.stringify(marks).length + marks.length * 2 * STAMP_BYTES_MAX;
  return bytes + PART_BYTES_MAX + marksBytes;
}

/** Most bytes of the fields that a form has once. */
export function commonFormBytes(address: FormAddress): number {
  const { participantId, trackId, segmentId, mimeType } = address;
  const characters = participantId.length + trackId.length + segmentId.length + mimeType.length;
  return COMMON_PARTS * PART_BYTES_MAX + characters * BYTES_PER_CHARACTER_MAX;
}

/** Most bytes of the body of a request with these chunks, at least one. */
export function requestBytes(
  chunks: readonly (FormAddress & FormChunk & { readonly payload: Blob | null })[],
): number {
  const [first] = chunks;
  if (first === undefined) return 0;
  return chunks.reduce(
    (bytes, chunk) => bytes + (chunk.payload?.size ?? 0) + chunkFormBytes(chunk),
    commonFormBytes(first),
  );
}
