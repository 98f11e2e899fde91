import { segmentIdSchema } from "../../src/contract/ids.ts";
import type { Mark } from "../../src/contract/marks.ts";
import type { ChunkStamp } from "../../src/recording/ports.ts";
import type { PlaceRequest } from "../../src/timeline/segment-place.ts";

/** When simulated segments begin: media time 0, milliseconds since the epoch. */
export const BEGIN_MS = Date.UTC(2026, 0, 1);

const SEGMENT_ID = segmentIdSchema.parse("3f0c6e5e-0d3b-4d0e-9f65-6c1f6d4f6d11");

/** One chunk of a simulated segment. */
export interface SimulatedSlice {
  /** Recorded time in it. */
  readonly mediaMs: number;
  /** What the encoder held when it was handed over. */
  readonly encoderMs: number;
  /** From handing it over to its arrival. */
  readonly uploadMs: number;
  /** The error of its stamps: how far the client's estimate of the server's clock is ahead. */
  readonly clockErrorMs: number;
  /** A pause behind it; 0 for none. */
  readonly pauseMs: number;
  /** Whether the pause is one that nobody asked for and nobody marks. */
  readonly isStandstill?: boolean;
  readonly isLost: boolean;
}

/** A slice with nothing remarkable. */
export const SLICE: SimulatedSlice = {
  mediaMs: 1_000,
  encoderMs: 40,
  uploadMs: 100,
  clockErrorMs: 0,
  pauseMs: 0,
  isLost: false,
};

/** What is true of a simulated segment, and what the server knows of it. */
export interface SimulatedSegment {
  readonly request: PlaceRequest;
  /** When what stands at a media time was captured, in truth. */
  readonly wallMs: (mediaMs: number) => number;
  /** End of the media that is told of. */
  readonly mediaEndMs: number;
}

/** How a segment is simulated. */
export interface SimulatedRecorder {
  readonly slices: readonly SimulatedSlice[];
  /** Milliseconds of the server's clock in one of media time. */
  readonly rate?: number;
  /** From `start()` to the browser's event, from which chunk 0 is stamped. */
  readonly startEventMs?: number;
  /** From `start()` to media time 0. */
  readonly firstFrameMs?: number;
  readonly isStamped?: boolean;
  readonly hasMarks?: boolean;
}

/** Records as `ClientRecorder` in Chromium does, with a clock that errs. */
export function simulate({
  slices,
  rate = 1,
  startEventMs = 60,
  firstFrameMs = 0,
  isStamped = true,
  hasMarks = true,
}: SimulatedRecorder): SimulatedSegment {
  const stamps: ChunkStamp[] = [];
  const marks: Mark[] = [];
  const chunkEnds: { sequence: number; mediaEndMs: number }[] = [];
  const pauses: { mediaMs: number; lengthMs: number }[] = [];
  const startMs = BEGIN_MS - firstFrameMs;
  const mark = (slice: SimulatedSlice | undefined, told: Mark): void => {
    if (!hasMarks || slice === undefined || slice.isLost) return;
    marks.push({ ...told, atMs: told.atMs + slice.clockErrorMs });
  };
  let mediaMs = 0;
  let pausedMs = 0;
  // The browser tells of its start before it gives any data.
  let sliceBeganMs = startMs + Math.min(startEventMs, slices[0]?.mediaMs ?? 0);
  mark(slices[0], { type: "began", atMs: startMs, reason: "start", pictures: "on-change" });
  for (const [sequence, slice] of slices.entries()) {
    mediaMs += slice.mediaMs;
    const endMs = BEGIN_MS + mediaMs * rate + pausedMs;
    if (!slice.isLost) {
      stamps.push({
        sequence,
        byteLength: 100_000,
        capturedAtMs: isStamped ? sliceBeganMs + slice.clockErrorMs : null,
        receivedAtMs: endMs + slice.uploadMs,
      });
      chunkEnds.push({ sequence, mediaEndMs: Math.max(0, mediaMs - slice.encoderMs) });
    }
    sliceBeganMs = endMs;
    const next = slices[sequence + 1];
    if (next === undefined) mark(slice, { type: "ended", atMs: endMs });
    else if (slice.pauseMs > 0) {
      pauses.push({ mediaMs, lengthMs: slice.pauseMs });
      pausedMs += slice.pauseMs;
      if (slice.isStandstill === true) continue;
      mark(slice, { type: "paused", atMs: endMs });
      sliceBeganMs = endMs + slice.pauseMs;
      mark(next, { type: "resumed", atMs: sliceBeganMs });
    }
  }
  const openedAtMs = Math.min(...stamps.map(({ receivedAtMs }) => receivedAtMs));
  return {
    request: { segmentId: SEGMENT_ID, openedAtMs, stamps, marks, chunkEnds },
    mediaEndMs: mediaMs,
    wallMs: (atMs) =>
      BEGIN_MS +
      atMs * rate +
      pauses.reduce((sum, pause) => sum + (pause.mediaMs <= atMs ? pause.lengthMs : 0), 0),
  };
}

/** The same pieces of knowledge in another order. */
export function reversed(request: PlaceRequest): PlaceRequest {
  return {
    ...request,
    stamps: request.stamps.toReversed(),
    marks: request.marks.toReversed(),
    chunkEnds: request.chunkEnds.toReversed(),
  };
}
