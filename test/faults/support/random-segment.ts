import type { SegmentUpload } from "./persistent-uploader.ts";
import type { SeededRandom } from "./seeded-random.ts";

const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;

/**
 * A segment of random bytes, which admission takes for WebM and nothing else reads: no two chunks are
 * alike.
 */
export function randomSegment(
  recordingId: string,
  random: SeededRandom,
  { chunks, chunkBytes }: { readonly chunks: number; readonly chunkBytes: number },
): SegmentUpload {
  const payloads = Array.from({ length: chunks }, () => random.bytes(chunkBytes));
  payloads[0]?.set(EBML_MAGIC);
  const segmentId = crypto.randomUUID();
  return {
    recordingId,
    participantId: `participant ${segmentId}`,
    trackId: "camera",
    segmentId,
    mimeType: "video/webm",
    chunks: payloads,
  };
}
