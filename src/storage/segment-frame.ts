import { z } from "zod";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../contract/ids.ts";
import { type Mark, markSchema } from "../contract/marks.ts";
import type { SegmentDescription } from "../recording/ports.ts";

/** A longer description is none of ours: IDs and a MIME type are far below it. */
export const DESCRIPTION_BYTES_MAX = 64 * 1024;

const descriptionSchema = z.object({
  recordingId: recordingIdSchema,
  participantId: participantIdSchema,
  trackId: trackIdSchema,
  segmentId: segmentIdSchema,
  mimeType: z.string(),
  // Beyond it, dates throw.
  openedAtMs: z.number().min(-8.64e15).max(8.64e15),
});

const endSchema = z.object({ chunkCount: z.int().min(0) });

/** Encodes a segment's description as the payload of its `segment` frames. */
export function encodeDescription(description: SegmentDescription): Uint8Array {
  const { recordingId, participantId, trackId, segmentId, mimeType, openedAtMs } = description;
  return new TextEncoder().encode(
    JSON.stringify({ recordingId, participantId, trackId, segmentId, mimeType, openedAtMs }),
  );
}

// A payload whose hash fits can still be of another version of the server: what cannot be decoded counts
// as absent, and takes nothing else of its file along.

/** Decodes the payload of a `segment` frame whose hash fitted; undefined when that cannot be done. */
export function decodeDescription(payload: Buffer): SegmentDescription | undefined {
  return descriptionSchema.safeParse(jsonOf(payload)).data;
}

/** Encodes a segment's total as the payload of its `end` frame. */
export function encodeEnd(chunkCount: number): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ chunkCount }));
}

/** The total in the payload of an `end` frame whose hash fitted; undefined when it has none. */
export function decodeEnd(payload: Buffer): number | undefined {
  return endSchema.safeParse(jsonOf(payload)).data?.chunkCount;
}

/**
 * Encodes a chunk's marks as the payload of its `marks` frame. The 64 longest that the contract allows
 * are 31 KB, which 16 bits of the chunk's header can tell.
 */
export function encodeMarks(marks: readonly Mark[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(marks));
}

/** Decodes the payload of a `marks` frame whose hash fitted; marks that are not known are left out. */
export function decodeMarks(payload: Buffer): readonly Mark[] {
  const list: unknown = jsonOf(payload);
  if (!Array.isArray(list)) return [];
  return list.flatMap((item) => markSchema.safeParse(item).data ?? []);
}

/** Undefined for what is no JSON. */
function jsonOf(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}
