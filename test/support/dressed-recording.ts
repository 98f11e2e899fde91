import { parseRecording } from "./matroska-blocks.ts";
import { type Dress, writeClusters } from "./matroska-writer.ts";
import { type RecordedName, joinChunks, recordedSegment } from "./recorded-media.ts";

/** A browser's recording as another muxer would have written it, in pieces of equal size. */
export async function dressedRecording(
  name: RecordedName,
  dress: Dress,
  pieces: number,
): Promise<{ readonly mimeType: string; readonly chunks: readonly Uint8Array<ArrayBuffer>[] }> {
  const { mimeType, chunks } = await recordedSegment(name);
  const { header, blocks } = parseRecording(joinChunks(chunks));
  const packets = blocks.map(({ isVideo, timeMs, isKey, data }) => ({
    track: isVideo ? (1 as const) : (2 as const),
    ticks: timeMs,
    isKey,
    data,
  }));
  const { bytes } = writeClusters(packets, dress, header);
  const pieceBytes = Math.ceil(bytes.length / pieces);
  return {
    mimeType,
    chunks: Array.from(
      { length: pieces },
      (_, i) => new Uint8Array(bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes)),
    ),
  };
}
