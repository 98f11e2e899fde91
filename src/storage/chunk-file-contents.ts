import type { SegmentState } from "../recording/ports.ts";
import { SequenceSet } from "../recording/sequence-set.ts";
import { FrameIndex } from "./frame-index.ts";
import type { IndexEntry } from "./index-frame.ts";

/** What a chunk file holds, kept true as frames are appended. */
export class ChunkFileContents implements SegmentState {
  readonly sequences: SequenceSet;
  readonly frames: FrameIndex;
  bytes = 0;
  chunkCount: number | null = null;
  lastChunkAtMs: number | null = null;

  constructor(sequences: SequenceSet = new SequenceSet(), frames: FrameIndex = new FrameIndex()) {
    this.sequences = sequences;
    this.frames = frames;
  }

  /** Takes a chunk's frame in. A later frame of the same sequence replaces the earlier one. */
  addChunk(
    { sequence, byteLength, offsetBytes, hasMarks }: IndexEntry,
    receivedAtMs: number,
  ): void {
    this.bytes += byteLength - (this.frames.get(sequence)?.byteLength ?? 0);
    this.sequences.add(sequence);
    this.frames.set(sequence, { offsetBytes, byteLength, hasMarks });
    this.lastChunkAtMs = Math.max(this.lastChunkAtMs ?? 0, receivedAtMs);
  }

  /** What is there now. The index is shared: the places of frames never change. */
  snapshot(): ChunkFileContents {
    const copy = new ChunkFileContents(this.sequences.clone(), this.frames);
    copy.bytes = this.bytes;
    copy.chunkCount = this.chunkCount;
    copy.lastChunkAtMs = this.lastChunkAtMs;
    return copy;
  }
}
