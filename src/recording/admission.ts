import { SEQUENCE_MAX } from "../contract/chunks.ts";
import { containerOfHeader, containerOfMimeType } from "./container.ts";

/** What is decided of one chunk. Only `accepted` and `duplicate` are acknowledged. */
export type Admission =
  | { readonly outcome: "accepted" }
  | { readonly outcome: "duplicate" }
  | { readonly outcome: "conflict"; readonly detail: string }
  | { readonly outcome: "malformed"; readonly detail: string }
  /** Not the bytes that the client hashed: they were damaged on their way, and may come whole next time. */
  | { readonly outcome: "damaged"; readonly detail: string }
  | { readonly outcome: "too-large"; readonly detail: string }
  | { readonly outcome: "over-quota"; readonly detail: string };

/** A chunk as it came, with the hash that the server computed. */
export interface CandidateChunk {
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** SHA-256 of `payload`, 32 bytes. */
  readonly sha256: Uint8Array;
  /** What the client says the hash is, hexadecimal; undefined when it says nothing. */
  readonly claimedSha256: string | undefined;
}

/** What admission must know of the segment. */
export interface SegmentFacts {
  /** MIME type of the segment; can be empty. */
  readonly mimeType: string;
  /** Hash of the chunk that has this sequence already; undefined when there is none. */
  readonly storedSha256: Uint8Array | undefined;
  /** Total number of chunks, once told. */
  readonly chunkCount: number | null;
  /** Runs without a gap that the segment would have with this chunk. */
  readonly rangesAfter: number;
}

/** The limits that a single chunk can break. */
export interface ChunkLimits {
  readonly chunkBytesMax: number;
  readonly segmentGapsMax: number;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Why this payload cannot be the first of a segment of this type; undefined when it can. */
function headerFault(payload: Uint8Array, mimeType: string): string | undefined {
  const expected = containerOfMimeType(mimeType);
  if (payload.length === 0) return "Chunk 0 is empty: it must carry the container's header.";
  const found = containerOfHeader(payload);
  if (found === undefined) {
    return "Chunk 0 does not begin with a WebM, Matroska or MP4 header.";
  }
  if (expected !== undefined && expected !== found) {
    return `Chunk 0 begins with a ${found} header, but mimeType is ${JSON.stringify(mimeType)}.`;
  }
  return undefined;
}

/**
 * Decides what becomes of one chunk. Pure: the same chunk, facts and limits give the same answer.
 * A gap before the sequence is no fault; it is reported as missing and filled when it comes.
 */
export function admit(
  chunk: CandidateChunk,
  segment: SegmentFacts,
  limits: ChunkLimits,
): Admission {
  const { sequence, payload } = chunk;
  if (!Number.isInteger(sequence) || sequence < 0 || sequence > SEQUENCE_MAX) {
    return {
      outcome: "malformed",
      detail: `Sequence ${sequence} is not between 0 and ${SEQUENCE_MAX}.`,
    };
  }
  if (payload.length > limits.chunkBytesMax) {
    return {
      outcome: "too-large",
      detail: `Chunk ${sequence} has ${payload.length} bytes; the limit is ${limits.chunkBytesMax}.`,
    };
  }
  const sha256 = chunk.sha256.toHex();
  if (chunk.claimedSha256 !== undefined && chunk.claimedSha256.toLowerCase() !== sha256) {
    return {
      outcome: "damaged",
      detail: `Chunk ${sequence} arrived with SHA-256 ${sha256}, not ${chunk.claimedSha256}.`,
    };
  }
  if (segment.storedSha256 !== undefined) {
    return equalBytes(segment.storedSha256, chunk.sha256)
      ? { outcome: "duplicate" }
      : {
          outcome: "conflict",
          detail: `Chunk ${sequence} is stored already, with other bytes.`,
        };
  }
  if (containerOfMimeType(segment.mimeType) === "unsupported") {
    return {
      outcome: "malformed",
      detail: `mimeType ${JSON.stringify(segment.mimeType)} is neither WebM, Matroska nor MP4.`,
    };
  }
  if (sequence === 0) {
    const detail = headerFault(payload, segment.mimeType);
    if (detail !== undefined) return { outcome: "malformed", detail };
  }
  if (segment.chunkCount !== null && sequence >= segment.chunkCount) {
    return {
      outcome: "conflict",
      detail: `The segment was ended with ${segment.chunkCount} chunks; there is no chunk ${sequence}.`,
    };
  }
  if (segment.rangesAfter > limits.segmentGapsMax + 1) {
    return {
      outcome: "over-quota",
      detail: `Chunk ${sequence} would leave more than ${limits.segmentGapsMax} gaps in the segment.`,
    };
  }
  return { outcome: "accepted" };
}
