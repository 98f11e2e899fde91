import type { SegmentId } from "../contract/ids.ts";
import type { Mark } from "../contract/marks.ts";
import type { ChunkStamp } from "../recording/ports.ts";
import {
  beginByArrival,
  beginByStamps,
  credibleMarks,
  isCredible,
  statedBeginMs,
} from "./segment-begin.ts";
import { measureRate } from "./media-rate.ts";
import { pausesOf } from "./segment-pauses.ts";
import type { SegmentTimeline } from "./segment-timeline.ts";
import { loneMarks, sliceLags } from "./slice-lags.ts";

/** What is known of a segment's times. Everything may come in any order. */
export interface PlaceRequest {
  readonly segmentId: SegmentId;
  /** When its first chunk arrived. */
  readonly openedAtMs: number;
  readonly stamps: readonly ChunkStamp[];
  readonly marks: readonly Mark[];
  /** Media time up to which the segment reaches at the end of each chunk; empty when nobody knows. */
  readonly chunkEnds: readonly { readonly sequence: number; readonly mediaEndMs: number }[];
}

/**
 * Places a segment's media on the server's clock. Pure; never throws.
 *
 * With the `began` mark of our own recorder, or the capture time of chunk 0, its begin is as exact as
 * the client's estimate of the server's clock, plus at most 10 ms for a canvas or sound and half a
 * frame's time for a camera (see `statedBeginMs`). Other stamps can only overrule it together: three
 * chunks must agree that it cannot be, and then it is right within some 40 ms. Without any credible
 * stamp it is when the chunks arrived.
 *
 * A pause is as exact as its marks: Chromium leaves the time from `pause()` to `resume()` out of its
 * media time within 1 ms. When one of the two marks is lost, how far the media lags behind the clock
 * afterwards tells how long the pause was; a `paused` that no media follows ends the segment. The same
 * lag tells of standstills that nobody marks, such as a computer's sleep.
 */
export function placeSegment(request: PlaceRequest): SegmentTimeline {
  const { segmentId, openedAtMs } = request;
  const stamps = request.stamps.toSorted((a, b) => a.sequence - b.sequence);
  const ends = request.chunkEnds.toSorted((a, b) => a.sequence - b.sequence);
  const told = request.marks.toSorted((a, b) => a.atMs - b.atMs);
  const isClockCredible = stamps.some(isCredible);
  const marks = isClockCredible ? credibleMarks(stamps, told) : told;
  const statedMs = statedBeginMs(stamps, marks);

  if (!isClockCredible) {
    const beginMs = beginByArrival(openedAtMs, stamps, ends);
    // Marks are on the same clock as the stamps that are not believed; the time between them is not.
    const shiftMs = statedMs === undefined ? 0 : beginMs - statedMs;
    const shifted = marks.map((mark) => ({ ...mark, atMs: mark.atMs + shiftMs }));
    const pauses = statedMs === undefined ? [] : pausesOf(shifted, beginMs, 1, []);
    return { segmentId, beginMs, rate: 1, pauses };
  }
  const lags = sliceLags(stamps.filter(isCredible), marks, ends);
  const rate = measureRate(lags);
  const isStated = stamps[0] !== undefined && isCredible(stamps[0]);
  // Behind a pause of unknown length nothing tells of the begin.
  const knownUntilMs = loneMarks(marks)[0]?.atMs ?? Infinity;
  const firstLags = lags.filter(({ atMs }) => atMs < knownUntilMs);
  const beginMs = beginByStamps(isStated ? statedMs : undefined, firstLags) ?? openedAtMs;
  return { segmentId, beginMs, rate, pauses: pausesOf(marks, beginMs, rate, lags) };
}
