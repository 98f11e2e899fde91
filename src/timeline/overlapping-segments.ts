import { type Span, lengthMs, within } from "./spans.ts";

/** The pictures of a segment, on the server's clock. */
export interface RecordedPictures extends Span {
  /** When a decoder can begin, in order of time. */
  readonly keyframesMs: readonly number[];
  /** When there are none that can be used. */
  readonly holes: readonly Span[];
  /** Before `toMs` where the last pictures are of no use, since they need lost ones. */
  readonly usableToMs: number;
}

/** When the streams of a segment were recorded, on the server's clock. */
export interface RecordedSegment {
  /** By how much its end may seem too late, since its device's clock is fast; see `driftMsOf`. */
  readonly driftMs: number;
  /** Null without any, as `audio`. */
  readonly video: RecordedPictures | null;
  readonly audio: Span | null;
}

/**
 * What of a segment is shown, on the server's clock. A stream is null when nothing of it is; an end at
 * which nothing is left out is infinite.
 */
export interface ShownSegment {
  readonly video: Span | null;
  readonly audio: Span | null;
}

/**
 * Segments that overlap by no more follow each other, and both are shown whole. A page that goes on with
 * another stream starts the new recorder before it stops the old one: in Chromium they were 36 ms apart
 * to 18 ms together. Two readings of the server's clock, and a begin that only three chunks tell, can
 * differ by `STATED_EARLY_MS_MAX` (segment-begin.ts), 400 ms. A person who starts two recorders by hand,
 * or a page that starts two at once, has them run together for longer.
 */
export const FOLLOWING_OVERLAP_MS_MAX = 500;

/**
 * A segment that lasts longer than another by less has nothing to add: both were stopped at once. A
 * packet of sound has 60 ms, and recorders that stop hand over their last one or two.
 */
export const REMAINDER_MS_MIN = 100;

/** Of a quartz whose error could not be measured: most are within 50 ppm, cheap ones within 100. */
const UNMEASURED_DRIFT = 0.000_1;

/**
 * By how much the end of a segment may seem too late: its media keep the time of its device, which is
 * fast at a `rate` below 1. After hours that is longer than what segments that follow each other overlap.
 */
export function driftMsOf({ fromMs, toMs }: Span, rate: number): number {
  return (toMs - fromMs) * (rate === 1 ? UNMEASURED_DRIFT : Math.max(0, 1 - rate));
}

/** A span of a segment and how much too late its end may seem. */
type DriftingSpan = Span & Pick<RecordedSegment, "driftMs">;

/**
 * Whether each of the segments was recorded at the same time as any other, rather than before or after
 * all of them. Pure.
 *
 * @returns in the same order
 */
export function areAtOnce(segments: readonly DriftingSpan[]): boolean[] {
  const atOnce = segments.map(() => false);
  const inOrder = [...segments.entries()].toSorted(([, a], [, b]) => a.fromMs - b.fromMs);
  let reachingFarthest: DriftingSpan | undefined;
  for (const [at, [i, segment]] of inOrder.entries()) {
    const [, next] = inOrder[at + 1] ?? [];
    atOnce[i] =
      (reachingFarthest !== undefined && !follows(reachingFarthest, segment)) ||
      (next !== undefined && !follows(segment, next));
    if (reachingFarthest === undefined || endMsOf(segment) > endMsOf(reachingFarthest)) {
      reachingFarthest = segment;
    }
  }
  return atOnce;
}

function follows(first: DriftingSpan, second: Span): boolean {
  return endMsOf(first) - second.fromMs <= FOLLOWING_OVERLAP_MS_MAX;
}

/** The earliest end that it can have had. */
function endMsOf({ toMs, driftMs }: DriftingSpan): number {
  return toMs - driftMs;
}

/**
 * Decides which segment of a track is shown at each moment where several were recorded at the same
 * time, as by a double mount, two tabs or two devices. Pure.
 *
 * - The one that began first is shown; those that end no later are not.
 * - One that lasts longer takes over at its last keyframe before the first one ends. From its first
 *   keyframe after that end, pictures would be missing for up to a whole keyframe interval. It does so
 *   there nevertheless where it lacks more of its own since the keyframe before.
 * - Sound changes together with the pictures, or else where the first one ends.
 * - Segments that follow each other (`areAtOnce`) are shown whole.
 *
 * So each moment that any of them has is shown once, but for a rest of less than `REMAINDER_MS_MIN`.
 * A loss in the middle of the one that is shown is not filled from another.
 *
 * @param segments whose senders told their times, in the order in which they began, which is taken for
 * the order of each stream
 * @returns what is shown of each, in the same order
 */
export function resolveOverlaps(segments: readonly RecordedSegment[]): ShownSegment[] {
  const pictures = shownSpans(
    segments.map(({ driftMs, video }) => video && { ...video, driftMs }),
    (next, endMs) => keyframeFor(next, endMs),
  );
  const sounds = shownSpans(
    segments.map(
      ({ driftMs, audio }, i) =>
        audio && {
          ...audio,
          driftMs,
          usableToMs: audio.toMs,
          picturesFromMs: pictures[i]?.fromMs ?? Infinity,
        },
    ),
    ({ fromMs, picturesFromMs }, endMs) => Math.min(endMs, Math.max(fromMs, picturesFromMs)),
  );
  return segments.map((_, i) => ({ video: pictures[i] ?? null, audio: sounds[i] ?? null }));
}

/** The keyframe near `endMs` with which the fewest pictures are missing; undefined without any. */
function keyframeFor({ keyframesMs, holes }: RecordedPictures, endMs: number): number | undefined {
  const before = keyframesMs.findLast((atMs) => atMs <= endMs);
  const after = keyframesMs.find((atMs) => atMs > endMs);
  if (before === undefined || after === undefined) return before ?? after;
  const lackMs = (window: Span): number =>
    within(holes, window).reduce((sum, hole) => sum + lengthMs(hole), 0);
  const lackBeforeMs = lackMs({ fromMs: before, toMs: endMs });
  const lackAfterMs = after - endMs - lackMs({ fromMs: endMs, toMs: after });
  return lackAfterMs < lackBeforeMs ? after : before;
}

interface StreamSpan extends DriftingSpan {
  readonly usableToMs: number;
}

/** A stretch of one segment that is shown, as far as the segments before tell. */
interface ShownStretch extends StreamSpan {
  readonly index: number;
  readonly isWhole: { readonly atBegin: boolean; readonly atEnd: boolean };
}

/**
 * Resolves one stream.
 *
 * @param takeOverMs when `next` can take over from one that ends at `endMs`; undefined if it never can
 */
function shownSpans<T extends StreamSpan>(
  recorded: readonly (T | null)[],
  takeOverMs: (next: T, endMs: number) => number | undefined,
): (Span | null)[] {
  const shown: ShownStretch[] = [];
  for (const [index, next] of recorded.entries()) {
    if (next === null) continue;
    const { fromMs, toMs, usableToMs, driftMs } = next;
    const own = { index, toMs, usableToMs, driftMs };
    const last = lastBefore(next, shown);
    const comesAfter = last === undefined || last.isWhole.atBegin || last.fromMs < fromMs;
    if (last === undefined || (comesAfter && follows(last, next))) {
      shown.push({ ...own, fromMs, isWhole: { atBegin: true, atEnd: true } });
      continue;
    }
    if (usableToMs - last.usableToMs < REMAINDER_MS_MIN) continue;
    const atMs = takeOverMs(next, last.usableToMs);
    if (atMs === undefined) continue;
    cutAt(shown, atMs);
    const isWhole = { atBegin: atMs <= fromMs, atEnd: true };
    shown.push({ ...own, fromMs: atMs, isWhole });
  }
  const spans: (Span | null)[] = recorded.map(() => null);
  for (const { index, fromMs, toMs, isWhole } of shown) {
    spans[index] = {
      fromMs: isWhole.atBegin ? -Infinity : fromMs,
      toMs: isWhole.atEnd ? Infinity : toMs,
    };
  }
  return spans;
}

/**
 * The last stretch that is shown before `next`. One that took over only after `next` began, and that `next`
 * follows, is removed if `next` lasts longer: it would come between what begins earlier.
 */
function lastBefore(next: StreamSpan, shown: ShownStretch[]): ShownStretch | undefined {
  for (;;) {
    const last = shown.at(-1);
    if (last === undefined || last.fromMs < next.fromMs || last.isWhole.atBegin) return last;
    const isLonger = next.usableToMs - last.usableToMs >= REMAINDER_MS_MIN;
    if (!isLonger || !follows(last, next)) return last;
    shown.pop();
  }
}

/** Leaves out what is shown from `atMs` on, of those too that end a little behind the next one's begin. */
function cutAt(shown: ShownStretch[], atMs: number): void {
  while ((shown.at(-1)?.fromMs ?? -Infinity) >= atMs) shown.pop();
  for (const [i, stretch] of shown.entries()) {
    if (stretch.toMs <= atMs) continue;
    const usableToMs = Math.min(stretch.usableToMs, atMs);
    const isWhole = { ...stretch.isWhole, atEnd: false };
    shown[i] = { ...stretch, toMs: atMs, usableToMs, isWhole };
  }
}
