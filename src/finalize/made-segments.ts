import { rm } from "node:fs/promises";
import { isCredible } from "../timeline/segment-begin.ts";
import { type SegmentTimeline, wallMsOf } from "../timeline/segment-timeline.ts";
import { FinalizeError } from "./finalize-errors.ts";
import { joinTargets, planRemux } from "./remux-plan.ts";
import { type WitnessedSegment, segmentTimelineOf } from "./segment-begin.ts";
import type { RemuxContext, SegmentMedia } from "./segment-media.ts";
import { startMsOf } from "./media-origin.ts";
import { type OverlappingSegment, type ShownSamples, chooseShown } from "./shown-samples.ts";

/** A segment with its own MP4. */
export interface Made {
  readonly segment: WitnessedSegment;
  readonly media: SegmentMedia;
  readonly timeline: SegmentTimeline;
  /** Whether its chunks tell when they were recorded. */
  readonly isTimed: boolean;
  /** Undefined unless others were recorded at the same time. */
  readonly overlap: OverlappingSegment | undefined;
}

/** What making segments again needs. */
export interface MakeOptions {
  readonly context: Pick<RemuxContext, "ffmpeg">;
  /** The MP4 of each segment, or why there can be none, in the same order. */
  readonly remux: (
    segments: readonly WitnessedSegment[],
  ) => Promise<(SegmentMedia | FinalizeError)[]>;
}

/**
 * The segments that have an MP4 in the order in which they began, with what is shown of each. The files
 * of those of which nothing is are removed; when the others were transcoded for their sake alone, they
 * are made again.
 */
export async function madeSegments(
  segments: readonly WitnessedSegment[],
  outcomes: readonly (SegmentMedia | FinalizeError)[],
  { context, remux }: MakeOptions,
): Promise<Made[]> {
  const made = await withOverlaps(timedMedia(segments, outcomes));
  const [shown, hidden] = [made.filter(isShown), made.filter((one) => !isShown(one))];
  await removeFiles(hidden);
  if (hidden.length === 0 || !wouldDiffer(shown, context)) return made;
  const own = shown.map(({ segment }) => segment);
  const again = await remux(own);
  // What is there can be joined too.
  if (again.some((outcome) => outcome instanceof FinalizeError)) return made;
  await removeFiles(shown);
  const remade: Made[] = [];
  for (const one of await withOverlaps(timedMedia(own, again))) {
    const before = shown.find(({ segment }) => segment === one.segment)?.overlap;
    // What overlaps it may be hidden now.
    remade.push({ ...one, overlap: one.overlap ?? (before && { ...before, shown: "whole" }) });
  }
  return [...remade, ...hidden];
}

/** Removes what is not needed any more: the disk may be short. */
export async function removeFiles(made: readonly Made[]): Promise<void> {
  await Promise.all(made.map(({ media }) => rm(media.path, { force: true })));
}

/** The segments that have an MP4, in the order in which they began. */
function timedMedia(
  segments: readonly WitnessedSegment[],
  outcomes: readonly (SegmentMedia | FinalizeError)[],
): Omit<Made, "overlap">[] {
  const found = outcomes.flatMap((media, i) => {
    const segment = segments[i];
    if (segment === undefined || media instanceof FinalizeError) return [];
    const timeline = segmentTimelineOf(segment, media.chunkEnds);
    const beginMs = wallMsOf(timeline, startMsOf(media.counts));
    return [{ segment, media, timeline, beginMs, isTimed: segment.stamps.some(isCredible) }];
  });
  // With its media known, a segment can turn out to have begun at another time than its stamps say.
  return found.toSorted((a, b) => a.beginMs - b.beginMs);
}

async function withOverlaps(timed: readonly Omit<Made, "overlap">[]): Promise<Made[]> {
  const overlaps = await chooseShown(timed);
  return timed.map((one, i) => Object.assign({ overlap: overlaps[i] }, one));
}

/** Whether anything of it is in the track's MP4. */
export function isShown(made: Made): boolean {
  const shown = shownOf(made);
  return shown === "whole" || shown.video !== undefined || shown.audio !== undefined;
}

/** What of it is in the track's MP4. */
export function shownOf({ overlap }: Made): ShownSamples | "whole" {
  return overlap?.shown ?? "whole";
}

/** Whether the segments would become something else if they alone were made alike. */
function wouldDiffer(shown: readonly Made[], { ffmpeg }: MakeOptions["context"]): boolean {
  const sources = shown.map(({ media: { plan } }) => ({
    video: plan.video?.source,
    audio: plan.audio?.source,
  }));
  const targets = joinTargets(sources);
  return shown.some(({ media: { plan } }, i) => {
    const streams = sources[i];
    if (streams === undefined) return false;
    const decision = planRemux(streams, ffmpeg.abilities, targets);
    return (
      decision.outcome === "plan" &&
      (decision.plan.video?.action !== plan.video?.action ||
        decision.plan.audio?.action !== plan.audio?.action)
    );
  });
}
