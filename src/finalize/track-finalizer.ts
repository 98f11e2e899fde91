import { mkdir, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { StreamKind } from "../contract/marks.ts";
import type { SegmentSummary } from "../contract/recordings.ts";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import type {
  ChunkStore,
  Clock,
  MediaRecord,
  SegmentReader,
  TrackKey,
  TrackResult,
} from "../recording/ports.ts";
import { summaryOf } from "../recording/segment-view.ts";
import { publishFile, syncDirectory } from "../storage/durable-files.ts";
import type { RecordingsLayout } from "../storage/layout.ts";
import { haveSameBytes } from "../storage/same-bytes.ts";
import type { LedgerOverlap, LedgerSegment, StreamExtent } from "../timeline/segment-gaps.ts";
import { buildTrackTimeline } from "../timeline/track-ledger.ts";
import type { FfmpegConfinement } from "./ffmpeg-confinement.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { shownSize } from "./picture-display.ts";
import { workDirectoryOf } from "./half-made-files.ts";
import { type WitnessedSegment, inOrderOfBegin, segmentTimelineOf } from "./segment-begin.ts";
import { type JoinedMedia, type SegmentOutcome, joinSegments } from "./segment-join.ts";
import { type SegmentReport, judgeTrack, unusableReason } from "./segment-report.ts";
import type { RemuxContext } from "./segment-media.ts";
import { startMsOf } from "./media-origin.ts";
import type { OverlappingSegment, ShownStream } from "./shown-samples.ts";
import type { StreamCount } from "./source-stream.ts";

/** What making a track's MP4 needs. */
export interface TrackFinalizerParts {
  readonly store: ChunkStore;
  readonly layout: RecordingsLayout;
  readonly ffmpeg: FfmpegBinary;
  readonly clock: Clock;
  readonly limits: FinalizeLimits;
}

/** One run for one track. */
export interface TrackRun {
  readonly key: TrackKey;
  /** The recording's zero, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Null when nobody knows. */
  readonly stoppedAtMs: number | null;
  readonly segments: readonly SegmentSummary[];
  /** The MP4 that was published last; null before the first. */
  readonly published: MediaRecord | null;
  /** Share that is done, 0 to 1. */
  readonly onProgress: (share: number) => void;
  /** As in `RemuxContext`, as is the next. */
  readonly leaveOut?: RemuxContext["leaveOut"];
  readonly onWayFailed?: RemuxContext["onWayFailed"];
  readonly confinement: FfmpegConfinement;
  readonly signal: AbortSignal;
}

/**
 * Makes a track's MP4 of the chunks that are there now, verifies it, and puts it in the place of
 * the one before. When it resolves the file is durable under its final name; when it rejects the
 * one before is untouched. One that holds the same bytes stays as it is, with the time at which it was
 * published: a segment's end that comes late changes the verdict, but no download and no export.
 *
 * @throws FinalizeError, SubprocessTimeoutError, SubprocessNotStartedError, storage and file system
 * errors, the signal's reason
 */
export async function finalizeTrack(
  run: TrackRun,
  parts: TrackFinalizerParts,
): Promise<TrackResult> {
  const { key, startedAtMs, stoppedAtMs, segments, onProgress, confinement, signal } = run;
  const { layout } = parts;
  const workDirectory = workDirectoryOf(layout, key);
  const readers: SegmentReader[] = [];
  await rm(workDirectory, { recursive: true, force: true });
  try {
    for (const { segmentId } of segments) {
      const reader = await parts.store.read(key.recordingId, segmentId, "job");
      if (reader !== undefined) readers.push(reader);
    }
    const ordered = await inOrderOfBegin(readers);
    const usable: WitnessedSegment[] = [];
    for (const segment of ordered) {
      const { reader } = segment;
      if (unusableReason(reader) === null && !(await isHeaderDamaged(reader))) usable.push(segment);
    }
    const found = { startedAtMs, stoppedAtMs, segments: ordered, usable };
    if (usable.length === 0) return resultOf(found, null, null);
    await mkdir(workDirectory, { recursive: true });
    const { ffmpeg, limits } = parts;
    const told = {
      ...(run.leaveOut === undefined ? {} : { leaveOut: run.leaveOut }),
      ...(run.onWayFailed === undefined ? {} : { onWayFailed: run.onWayFailed }),
    };
    const context = { ffmpeg, confinement, limits, workDirectory, signal, onProgress, ...told };
    const joined = await joinSegments(usable, context);
    const media = await publish(joined, run, parts);
    return resultOf(found, joined, media);
  } finally {
    for (const reader of readers) await reader.close();
    await rm(workDirectory, { recursive: true, force: true });
  }
}

async function publish(
  { path, index, plan }: JoinedMedia,
  { key, published, signal }: TrackRun,
  { layout, clock }: TrackFinalizerParts,
): Promise<MediaRecord> {
  await syncAncestors(layout.trackDirectory(key), layout.recordingDirectory(key.recordingId));
  const { size } = await stat(path);
  const mediaPath = layout.mediaPath(key);
  const isSame = published?.bytes === size && (await haveSameBytes(path, mediaPath));
  signal.throwIfAborted();
  if (!isSame) await publishFile(path, mediaPath);
  const video = index.tracks.find(({ kind }) => kind === "video");
  const audio = index.tracks.find(({ kind }) => kind === "audio");
  const shown = video && shownSize(video, video);
  const startsMs = index.tracks.flatMap(({ firstMs = 0, shownFromMs = firstMs }) =>
    Math.max(firstMs, shownFromMs),
  );
  const endsMs = index.tracks.flatMap(({ endMs }) => endMs ?? []);
  return {
    bytes: size,
    durationMs: Math.round(Math.max(...endsMs) - Math.min(0, ...startsMs)),
    videoCodec: plan.video?.codec ?? null,
    audioCodec: plan.audio?.codec ?? null,
    width: shown?.width ?? null,
    height: shown?.height ?? null,
    videoPackets: video?.samples ?? 0,
    audioPackets: audio?.samples ?? 0,
    action: plan.action,
    actionReason: plan.reason,
    publishedAtMs: isSame ? published.publishedAtMs : clock.nowMs(),
  };
}

/**
 * Makes the entries of the track's directory and of those above it durable. They can be new, and the
 * run did not wait for that when it made them.
 *
 * @param from the lowest
 * @param to the highest whose entries can be new
 */
async function syncAncestors(from: string, to: string): Promise<void> {
  const directories: string[] = [];
  for (let at = dirname(from); at.length >= to.length; at = dirname(at)) directories.push(at);
  await Promise.all(directories.map((directory) => syncDirectory(directory)));
}

/** Whether the bytes of chunk 0 are not those that were acknowledged. */
async function isHeaderDamaged(reader: SegmentReader): Promise<boolean> {
  let isDamaged = false;
  const chunks = reader.chunks((sequence) => {
    isDamaged ||= sequence === 0;
  });
  // The first that is given comes from behind chunk 0 only when that one was told of as damaged.
  for await (const { sequence } of chunks) return isDamaged && sequence > 0;
  return isDamaged;
}

/** The segments of a track, in the order in which they began. */
interface FoundSegments {
  readonly startedAtMs: number;
  readonly stoppedAtMs: number | null;
  readonly segments: readonly WitnessedSegment[];
  /** Those that were tried. */
  readonly usable: readonly WitnessedSegment[];
}

function resultOf(
  { startedAtMs, stoppedAtMs, segments, usable }: FoundSegments,
  joined: JoinedMedia | null,
  media: MediaRecord | null,
): TrackResult {
  const ledger: LedgerSegment[] = [];
  const reports = segments.map((segment): SegmentReport => {
    const { description, state } = segment.reader;
    const { segmentId } = description;
    const summary = summaryOf(description, state);
    const untouched = { segmentId, damagedChunks: [], unusableBytes: 0 };
    const outcome = joined?.segments[usable.indexOf(segment)];
    const report = ((): SegmentReport => {
      if (outcome !== undefined) {
        return "media" in outcome
          ? {
              summary,
              damage: outcome.media.damage,
              notes: outcome.media.notes,
              unusable: null,
            }
          : { summary, damage: untouched, notes: [], unusable: outcome.unusable };
      }
      const unusable = unusableReason(segment.reader);
      if (unusable !== null) return { summary, damage: untouched, notes: [], unusable };
      return {
        summary,
        damage: { ...untouched, damagedChunks: [{ from: 0, to: 0 }] },
        notes: [],
        unusable: "has a damaged chunk 0, which held the container's header",
      };
    })();
    ledger.push(ledgerSegment(segment, outcome, report));
    return report;
  });
  const timeline = buildTrackTimeline({ startedAtMs, stoppedAtMs, segments: ledger });
  return {
    ...judgeTrack(reports, timeline, joined?.notes),
    media,
    timeline,
    segments: reports.map(({ summary }) => summary),
    damage: reports
      .map(({ damage }) => damage)
      .filter(({ damagedChunks, unusableBytes }) => damagedChunks.length > 0 || unusableBytes > 0),
  };
}

function ledgerSegment(
  segment: WitnessedSegment,
  outcome: SegmentOutcome | undefined,
  { damage }: SegmentReport,
): LedgerSegment {
  const { stamps, marks, reader } = segment;
  const { chunkCount } = reader.state;
  const { damagedChunks } = damage;
  const known = { stamps, marks, chunkCount, damagedChunks };
  if (outcome === undefined || !("media" in outcome)) {
    const timeline = segmentTimelineOf(segment, []);
    return { ...known, timeline, video: null, audio: null, chunkEnds: [] };
  }
  const { timeline, media, overlap } = outcome;
  const { chunkEnds, counts } = media;
  const shown = overlap?.shown ?? "whole";
  const extent = (stream: StreamKind): StreamExtent | null => {
    const whole = extentOf(counts[stream]);
    return shown === "whole" ? whole : shownExtent(whole, shown[stream], startMsOf(counts));
  };
  return {
    ...known,
    timeline,
    video: extent("video"),
    audio: extent("audio"),
    chunkEnds,
    overlap: overlap && ledgerOverlap(overlap),
  };
}

function ledgerOverlap({ recorded, shown, takesOverMs }: OverlappingSegment): LedgerOverlap {
  const isTakenOver =
    shown !== "whole" && [shown.video, shown.audio].some((stream) => stream?.isCutAtEnd === true);
  return { recorded, isTakenOver, takesOverMs };
}

function extentOf(count: StreamCount | undefined): StreamExtent | null {
  if (count?.firstMs === undefined || count.endMs === undefined) return null;
  const { firstMs, endMs, holes, leading } = count;
  if (leading === undefined) return { firstMs, endMs, holes };
  return { firstMs: Math.min(leading.fromMs, firstMs), endMs, holes: [leading, ...holes] };
}

/** @param startMs media time at the zero of the segment's own MP4 */
function shownExtent(
  whole: StreamExtent | null,
  shown: ShownStream | undefined,
  startMs: number,
): StreamExtent | null {
  if (whole === null || shown === undefined) return null;
  const firstMs = shown.isCutAtBegin ? startMs + shown.firstMs : whole.firstMs;
  const endMs = shown.isCutAtEnd ? startMs + shown.endMs : whole.endMs;
  const holes = whole.holes
    .filter(({ fromMs, toMs }) => fromMs < endMs && toMs > firstMs)
    .map(({ fromMs, toMs, resumesMs }) => ({
      fromMs: Math.max(fromMs, firstMs),
      toMs: Math.min(toMs, endMs),
      resumesMs,
    }));
  return { firstMs, endMs, holes };
}
