import { type SegmentTimeline, wallMsOf } from "../timeline/segment-timeline.ts";

/** Begin of the first packet, begin of the last and its end, in milliseconds of a segment's MP4. */
export interface StreamSpan {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly endMs: number;
}

/** A segment's MP4 that is to be placed. */
export interface UnplacedPart {
  readonly timeline: SegmentTimeline;
  /** Media time of the segment at the MP4's zero. */
  readonly startMs: number;
  readonly video: StreamSpan | undefined;
  readonly audio: StreamSpan | undefined;
}

/** A segment's MP4 in its place. */
export interface PlacedPart {
  /**
   * With its begin moved by what it had to be moved, so that `wallMsOf` tells where its media really
   * stand in the track's MP4.
   */
  readonly timeline: SegmentTimeline;
  /** Milliseconds of the track's MP4 for those of the segment's; ascends. */
  readonly toTrackMs: (mp4Ms: number) => number;
}

/** Where the parts of a track stand. */
export interface TrackPlaces {
  /** Second 0 of the track's MP4 on the server's clock, in milliseconds since the epoch. */
  readonly beginMs: number;
  readonly parts: readonly PlacedPart[];
}

/**
 * The longest gap that is kept; what comes later is moved nearer. A step from one picture to the next
 * has 32 bits in an MP4, 13 hours in its clock of 90 kHz.
 */
export const GAP_MS_MAX = 12 * 3_600_000;

/** Between the last picture of a segment and the first one of the next. */
const PICTURE_STEP_MS_MIN = 1;

/**
 * Places the segments of a track on the server's clock. Each begins where its timeline says, unless
 * its sound or its pictures would begin before those of the segment before it have ended: two
 * readings of one clock can differ by its noise, a few milliseconds, and segments whose senders told no
 * times can seem to overlap. Then it begins right behind that, as a whole, so that its picture and sound stay
 * together; the next one is not moved unless it must be, too. Pure.
 *
 * @param parts in the order in which they began; at least one
 */
export function placeParts(parts: readonly UnplacedPart[]): TrackPlaces {
  const [first] = parts;
  if (first === undefined) throw new RangeError("There is no segment to be placed");
  const beginMs = wallMsOf(first.timeline, first.startMs);
  const placed: PlacedPart[] = [];
  const ends = { video: -Infinity, audio: -Infinity };
  for (const part of parts) {
    const bounded = withBoundedPauses(part.timeline);
    const wantedMs = (mp4Ms: number): number => wallMsOf(bounded, part.startMs + mp4Ms) - beginMs;
    let moveMs = 0;
    for (const kind of ["video", "audio"] as const) {
      const span = part[kind];
      if (span !== undefined) moveMs = Math.max(moveMs, ends[kind] - wantedMs(span.firstMs));
    }
    const endMs = Math.max(ends.video, ends.audio);
    if (endMs !== -Infinity) moveMs = Math.min(moveMs, endMs + GAP_MS_MAX - wantedMs(0));
    const timeline = { ...bounded, ...moved(bounded, moveMs) };
    const toTrackMs = (mp4Ms: number): number => wantedMs(mp4Ms) + moveMs;
    placed.push({ timeline, toTrackMs });
    if (part.video !== undefined) {
      ends.video = toTrackMs(part.video.lastMs) + PICTURE_STEP_MS_MIN;
    }
    if (part.audio !== undefined) ends.audio = toTrackMs(part.audio.endMs);
  }
  return { beginMs, parts: placed };
}

function moved(
  { beginMs, pauses }: SegmentTimeline,
  moveMs: number,
): Pick<SegmentTimeline, "beginMs" | "pauses"> {
  return {
    beginMs: beginMs + moveMs,
    pauses: pauses.map((pause) => ({
      ...pause,
      fromMs: pause.fromMs + moveMs,
      toMs: pause.toMs + moveMs,
    })),
  };
}

function withBoundedPauses(timeline: SegmentTimeline): SegmentTimeline {
  const pauses = timeline.pauses.map((pause) => ({
    ...pause,
    toMs: Math.min(pause.toMs, pause.fromMs + GAP_MS_MAX),
  }));
  return { ...timeline, pauses };
}
