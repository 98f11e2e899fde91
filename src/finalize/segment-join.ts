import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { StreamKind } from "../contract/marks.ts";
import type { SegmentReader } from "../recording/ports.ts";
import type { SegmentTimeline } from "../timeline/segment-timeline.ts";
import { withinBounds } from "./bounded-segment.ts";
import {
  FinalizeError,
  MediaMismatchError,
  NoIndexError,
  passingFailure,
} from "./finalize-errors.ts";
import { avcConfiguration, missingParameterSets } from "./h264-parameter-sets.ts";
import { isUnplayable } from "./media-check.ts";
import { joinedPlan } from "./joined-plan.ts";
import { type Mp4Index, mp4IndexOf, settleMoov } from "./mp4-index.ts";
import { type Made, isShown, madeSegments, removeFiles, shownOf } from "./made-segments.ts";
import { type SampleTables, readSampleTables, tablesOf } from "./mp4-sample-tables.ts";
import {
  type JoinTargets,
  NO_TARGETS,
  type RemuxPlan,
  joinTargets,
  lackSilence,
  uniformSound,
} from "./remux-plan.ts";
import type { WitnessedSegment } from "./segment-begin.ts";
import { batchesOf, remuxBatch } from "./segment-batch.ts";
import { remuxWithSounds } from "./segment-mix.ts";
import type { RemuxContext, SegmentMedia } from "./segment-media.ts";
import { segmentStreams } from "./segment-remux.ts";
import { startMsOf } from "./media-origin.ts";
import { type OverlappingSegment, countShown, shownTables } from "./shown-samples.ts";
import type { SourceStreams, StreamCodec, StreamCount } from "./source-stream.ts";
import { type JoinedPart, checkTimeline } from "./timeline-check.ts";
import { type TimelineMuxRequest, muxTimeline } from "./timeline-mux.ts";
import {
  type PlacedPart,
  type StreamSpan,
  type UnplacedPart,
  placeParts,
} from "./timeline-places.ts";
import { SOUND_DEFICIT_MS_MAX } from "./sound-deficit.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { Insertion } from "./timeline-track.ts";
import {
  type TimelinePart,
  type TimelineSummary,
  type TimelineTracks,
  summaryOf,
  timelineTracks,
} from "./timeline-tracks.ts";

/** What became of a segment: it is in the MP4, where, or nothing can be made of it, and why. */
export type SegmentOutcome =
  | {
      readonly media: SegmentMedia;
      readonly timeline: SegmentTimeline;
      /** Undefined unless others of the track were recorded at the same time. */
      readonly overlap: OverlappingSegment | undefined;
    }
  | { readonly unusable: string };

/** The MP4 of a track, verified, with what became of each segment, in their order. */
export interface JoinedMedia {
  readonly path: string;
  readonly plan: Omit<RemuxPlan, "muxer">;
  readonly index: Mp4Index;
  readonly segments: readonly SegmentOutcome[];
  /** What its verdict has to name of the whole. */
  readonly notes: readonly SegmentNote[];
}

/** Share of the work that is making each segment's MP4; the rest is joining them. */
const REMUX_SHARE = 0.8;

/**
 * Makes one MP4 of a track's segments, whose time is the wall clock: between segments and in pauses
 * stays the gap that was there, the picture stands still over it, and the sound is silent. Segments
 * of one codec are copied together; of those that differ in it, only what is not H.264 is transcoded.
 * Of segments that were recorded at the same time one is shown at each moment (`chooseShown`).
 * A single segment that was not disturbed is done with the first pass over its bytes. One of which
 * nothing can be made, or not this time (`leaveOut`), does not keep the others from being delivered;
 * when that is so of all, the track fails with the first one's reason.
 *
 * @param segments in the order in which they began; at least one
 * @throws what `remuxSegment` throws, file system errors
 */
export async function joinSegments(
  segments: readonly WitnessedSegment[],
  context: RemuxContext,
): Promise<JoinedMedia> {
  const remux: Remux = (own, alone) =>
    remuxAll(
      own.map(({ reader }) => reader),
      context,
      alone,
    );
  const outcomes = await remux(segments);
  const made = await withSilence(await madeSegments(segments, outcomes, { context, remux }), remux);
  if (made.length === 0) {
    const error = outcomes.find((outcome) => outcome instanceof FinalizeError);
    throw error ?? new RangeError("There is no segment to make an MP4 of.");
  }
  const shown = made.filter(isShown);
  const places = placeParts(shown.map(unplaced));
  const results = segments.map((segment, i): SegmentOutcome => {
    const outcome = outcomes[i];
    if (outcome instanceof FinalizeError) return { unusable: unusableWords(outcome) };
    const own = made.find((one) => one.segment === segment);
    if (own === undefined) throw new RangeError("A segment has no media");
    const timeline = places.parts[shown.indexOf(own)]?.timeline ?? own.timeline;
    return { media: own.media, timeline, overlap: own.overlap };
  });
  const [only, ...others] = shown;
  if (only !== undefined && others.length === 0 && !isDisturbed(only)) {
    const { path, plan, index } = only.media;
    return { path, plan, index, segments: results, notes: [] };
  }
  return { ...(await joinParts(shown, places.parts, context)), segments: results };
}

/** @param alone what one that stands alone is made */
type Remux = (
  segments: readonly WitnessedSegment[],
  alone?: JoinTargets,
) => Promise<(SegmentMedia | FinalizeError)[]>;

/**
 * The same, but for a single segment with gaps whose sound no silence is known for: it is made again with
 * sound into which silence can be put.
 */
async function withSilence(made: readonly Made[], remux: Remux): Promise<readonly Made[]> {
  const [only, ...others] = made.filter(isShown);
  if (only === undefined || others.length > 0 || !isDisturbed(only)) return made;
  const { audio } = only.media.plan;
  if (audio?.action !== "copy" || !lackSilence([audio.source])) return made;
  const [media] = await remux([only.segment], { ...NO_TARGETS, ...uniformSound([audio.source]) });
  if (media === undefined || media instanceof FinalizeError) return made;
  await removeFiles([only]);
  return made.map((one) => (one === only ? { ...one, media } : one));
}

/** The MP4 of each segment, or why there can be none, in the same order. */
async function remuxAll(
  readers: readonly SegmentReader[],
  context: RemuxContext,
  alone: JoinTargets = NO_TARGETS,
): Promise<(SegmentMedia | FinalizeError)[]> {
  const [first, ...others] = readers;
  if (first === undefined) return [];
  if (others.length === 0) {
    const attempt = (): Promise<SegmentMedia> => remuxWithSounds(first, alone, context);
    return [await withinBounds(attempt, first, alone, context)];
  }
  const parts: FoundPart[] = [];
  for (const reader of readers) {
    parts.push({ reader, found: await orUnusable(() => segmentStreams(reader, context)) });
  }
  const targets = joinTargets(
    parts.flatMap(({ found }) => (found instanceof FinalizeError ? [] : [found])),
  );
  const outcomes = await remuxParts(parts, targets, context);
  const own = joinTargetsOfMade(outcomes);
  if ((!own.h264 || targets.h264) && (!own.aac || targets.aac)) return outcomes;
  // What does not show as a copy was encoded: now the others must be what that is.
  const paths = outcomes.flatMap((made) => (made instanceof FinalizeError ? [] : made.path));
  await Promise.all(paths.map((path) => rm(path, { force: true })));
  const both = { h264: own.h264 || targets.h264, aac: own.aac || targets.aac };
  return remuxParts(parts, both, context);
}

/** A segment with its streams, or why it has none. */
interface FoundPart {
  readonly reader: SegmentReader;
  readonly found: SourceStreams | FinalizeError;
}

async function remuxParts(
  parts: readonly FoundPart[],
  targets: JoinTargets,
  context: RemuxContext,
): Promise<(SegmentMedia | FinalizeError)[]> {
  const { leaveOut } = context;
  const batches = batchesOf(
    parts.map(({ reader, found }) =>
      found instanceof FinalizeError ? undefined : reader.state.bytes,
    ),
  );
  const outcomes: (SegmentMedia | FinalizeError)[] = [];
  let done = 0;
  for (const batch of batches) {
    const own = batch.flatMap((i) => parts[i] ?? []);
    const together =
      own.length > 1
        ? await remuxBatch(
            own.map(({ reader }) => reader),
            targets,
            context,
          )
        : [];
    for (const [at, { reader, found }] of own.entries()) {
      const i = batch[at] ?? 0;
      const before = done;
      const onProgress = (share: number): void =>
        context.onProgress(((before + share) / parts.length) * REMUX_SHARE);
      const attempt = async (): Promise<SegmentMedia> =>
        together[at] ?? (await remuxWithSounds(reader, targets, { ...context, onProgress }));
      outcomes[i] =
        found instanceof FinalizeError
          ? found
          : await orUnusable(
              () => withinBounds(attempt, reader, targets, { ...context, onProgress }),
              leaveOut,
            );
      done += 1;
      context.onProgress((done / parts.length) * REMUX_SHARE);
    }
  }
  return outcomes;
}

/** What must be made alike of segments that did not all come out as they were planned. */
function joinTargetsOfMade(outcomes: readonly (SegmentMedia | FinalizeError)[]): JoinTargets {
  const plans = outcomes.flatMap((made) => (made instanceof FinalizeError ? [] : [made.plan]));
  const codecs = (kind: StreamKind): Set<StreamCodec> =>
    new Set(plans.flatMap((plan) => plan[kind]?.codec ?? []));
  const sounds = plans.flatMap(({ audio }) => audio ?? []);
  const areEncodedInPart =
    sounds.some(({ action, isUniform }) => action === "transcode" && !isUniform) &&
    sounds.some(({ action }) => action === "copy");
  return {
    h264: codecs("video").size > 1,
    aac: codecs("audio").size > 1 || areEncodedInPart,
  };
}

/** What `attempt` gives, or the error that it would fail with however often it is tried. */
async function orUnusable<T>(
  attempt: () => Promise<T>,
  leaveOut?: RemuxContext["leaveOut"],
): Promise<T | FinalizeError> {
  try {
    return await attempt();
  } catch (error) {
    if (error instanceof FinalizeError && error.isPermanent) return error;
    const failure = leaveOut && passingFailure(error);
    if (failure === undefined) throw error;
    leaveOut?.(failure);
    return failure;
  }
}

function unusableWords({ message }: FinalizeError): string {
  return `could not be used: ${message.replace(/\.$/, "")}`;
}

/**
 * Whether the times of a segment's own MP4 are not those of the wall clock, or not those of its sound, or
 * not all of it is shown.
 */
function isDisturbed(made: Made): boolean {
  if (shownOf(made) !== "whole") return true;
  const { media, timeline } = made;
  const { holes = [], deficitMs = 0 } = media.counts.audio ?? {};
  return timeline.pauses.length > 0 || holes.length > 0 || deficitMs > SOUND_DEFICIT_MS_MAX;
}

function unplaced(made: Made): UnplacedPart {
  const { media, timeline } = made;
  const shown = shownOf(made);
  const span = (kind: "video" | "audio"): StreamSpan | undefined => {
    if (shown !== "whole") return shown[kind];
    const track = media.index.tracks.find((candidate) => candidate.kind === kind);
    if (track?.firstMs === undefined) return undefined;
    const { firstMs, lastMs = firstMs, endMs = lastMs, shownFromMs = firstMs } = track;
    return { firstMs: Math.max(firstMs, shownFromMs), lastMs, endMs };
  };
  return {
    timeline,
    startMs: startMsOf(media.counts),
    video: span("video"),
    audio: span("audio"),
  };
}

async function joinParts(
  made: readonly Made[],
  places: readonly PlacedPart[],
  { workDirectory, signal, onProgress }: RemuxContext,
): Promise<Omit<JoinedMedia, "segments">> {
  const path = join(workDirectory, `${crypto.randomUUID()}.mp4`);
  const { timeline, insertedBytes, areBrought } = await writeJoined(made, places, path, {
    signal,
    onProgress: (share) => onProgress(REMUX_SHARE + share * (1 - REMUX_SHARE)),
  });
  const { index, written } = await readBack(path);
  const findings = await checkTimeline(
    made.map((one, i) => ({
      ...checkedMedia(one, places[i] ?? { toTrackMs: (mp4Ms: number) => mp4Ms }),
      insertedBytes: insertedBytes[i] ?? 0,
    })),
    timeline,
    written,
    index,
  );
  const texts = findings.map(({ text }) => text);
  if (isUnplayable(findings)) throw new MediaMismatchError(texts);
  await removeFiles(made);
  return { path, plan: joinedPlan(made, timeline, areBrought), index, notes: joinNotes(texts) };
}

/** A track that does not agree with its segments is delivered, and its verdict says so. */
function joinNotes(findings: readonly string[]): SegmentNote[] {
  if (findings.length === 0) return [];
  const text =
    `The MP4 may not have all of its segments at their times: ${findings.join("; ")}. Their sources, ` +
    "which can be downloaded, have all that came.";
  return [{ text, isLoss: true }];
}

/**
 * What the joined file must have of a segment. Of one that is shown in part that is a copy of some
 * samples of its own MP4, all of which were compared with its chunks; and one whose own MP4 does not
 * have what was counted in its chunks has already been judged by what a decoder shows of it.
 */
function checkedMedia(
  made: Made,
  place: Pick<PlacedPart, "toTrackMs">,
): Pick<JoinedPart, "media" | "place"> {
  const { media } = made;
  const shown = shownOf(made);
  if (shown === "whole") {
    if (media.hasAsCounted) return { media, place };
    const own = { video: countOfTrack(media, "video"), audio: countOfTrack(media, "audio") };
    const startMs = startMsOf(own);
    return {
      media: { plan: copied(media.plan), counts: own, isIncomplete: false },
      place: { toTrackMs: (ms) => place.toTrackMs(ms + startMs) },
    };
  }
  const counts = { video: countShown(shown.video), audio: countShown(shown.audio) };
  const startMs = startMsOf(counts);
  return {
    media: { plan: copied(media.plan), counts, isIncomplete: false },
    place: { toTrackMs: (ms) => place.toTrackMs(ms + startMs) },
  };
}

/** What a segment's own MP4 has of a stream. */
function countOfTrack({ index }: SegmentMedia, kind: StreamKind): StreamCount | undefined {
  const track = index.tracks.find((candidate) => candidate.kind === kind);
  if (track === undefined) return undefined;
  const { samples: packets, bytes, firstMs, lastMs, endMs } = track;
  return { packets, visiblePackets: packets, bytes, firstMs, lastMs, endMs, holes: [] };
}

function copied(plan: RemuxPlan): RemuxPlan {
  const { video, audio } = plan;
  const action = "copy";
  return {
    ...plan,
    video: video && { ...video, action },
    audio: audio && { ...audio, action },
    action,
  };
}

/** What the finished file says of itself; the index is read once and forgotten. */
async function readBack(path: string): Promise<{ index: Mp4Index; written: SampleTables }> {
  const found = await settleMoov(path);
  if (found === undefined) throw new NoIndexError();
  const index = mp4IndexOf(found);
  // Each goes over millions of samples where hours are silent.
  await setImmediate();
  return { index, written: tablesOf(found) };
}

/** What is to be written of the segments' own MP4s. */
interface JoinPlan {
  readonly timeline: TimelineTracks;
  readonly sources: TimelineMuxRequest["parts"];
  /** Of parameter sets, by part. */
  readonly insertedBytes: readonly number[];
  /** Whether parameter sets stand before keyframes. */
  readonly areBrought: boolean;
}

/** Writes the joined file; its tables, which take much memory, are forgotten when it resolves. */
async function writeJoined(
  made: readonly Made[],
  places: readonly PlacedPart[],
  outputPath: string,
  { signal, onProgress }: Pick<RemuxContext, "signal" | "onProgress">,
): Promise<Pick<JoinPlan, "insertedBytes" | "areBrought"> & { timeline: TimelineSummary }> {
  const { timeline, sources, insertedBytes, areBrought } = await planJoin(made, places);
  await muxTimeline({ timeline, parts: sources, outputPath, onProgress, signal });
  return { timeline: summaryOf(timeline), insertedBytes, areBrought };
}

/** Places all samples; the tables of the segments' own MP4s are forgotten when it resolves. */
async function planJoin(made: readonly Made[], places: readonly PlacedPart[]): Promise<JoinPlan> {
  const tables: SampleTables[] = [];
  for (const one of made) {
    const own = await readSampleTables(one.media.path);
    if (own === undefined) throw new NoIndexError();
    tables.push(shownTables(own, shownOf(one)));
  }
  const areBrought = differInParameterSets(tables);
  const parts: TimelinePart[] = [];
  for (const [i, own] of tables.entries()) {
    const { path } = made[i]?.media ?? { path: "" };
    const parameterSets =
      areBrought && own.video !== undefined
        ? await missingParameterSets(i, path, own.video)
        : new Map<number, Insertion>();
    const { toTrackMs } = places[i] ?? { toTrackMs: (mp4Ms: number) => mp4Ms };
    const { plan, counts } = made[i]?.media ?? {};
    // What was encoded anew has packets of its own.
    const soundPacketMs = plan?.audio?.action === "copy" ? counts?.audio?.packetMs : undefined;
    parts.push({ tables: own, toTrackMs, parameterSets, soundPacketMs });
  }
  return {
    timeline: await timelineTracks(parts),
    sources: tables.map(({ media }, i) => ({ path: made[i]?.media.path ?? "", media })),
    insertedBytes: parts.map(({ parameterSets }) =>
      [...parameterSets.values()].reduce((sum, { bytes }) => sum + bytes.length, 0),
    ),
    areBrought,
  };
}

/** Whether a decoder of H.264 that was set up for one of the segments lacks what another needs. */
function differInParameterSets(tables: readonly SampleTables[]): boolean {
  const configurations = tables.flatMap(({ video }) => {
    const [entry] = video?.entries ?? [];
    return entry?.toString("latin1", 4, 8) === "avc1" ? [avcConfiguration(entry)] : [];
  });
  return configurations.some((other) => !other.equals(configurations[0] ?? other));
}
