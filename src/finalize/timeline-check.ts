import { SPAN_DIFFERENCE_MS_MAX, checkMedia } from "./media-check.ts";
import type { Mp4Index, Mp4Track } from "./mp4-index.ts";
import { type SampleTable, type SampleTables, presentedMs } from "./mp4-sample-tables.ts";
import { type SegmentMedia, startMsOf } from "./segment-remux.ts";
import type { StreamCount } from "./source-stream.ts";
import type { PlacedPart } from "./timeline-places.ts";
import { SOUND_HOLE_MS, type TimelineSummary } from "./timeline-tracks.ts";

/** A segment with its place in the track. */
export interface JoinedPart {
  readonly media: Pick<SegmentMedia, "plan" | "counts" | "isIncomplete">;
  readonly place: Pick<PlacedPart, "toTrackMs">;
  /** Of parameter sets that were put into its pictures. */
  readonly insertedBytes: number;
}

/**
 * Compares a track's MP4 with what its segments hold, as counted without ffmpeg, each at its place.
 * Gives a sentence's part for each thing that does not fit; none means that the MP4 can be published.
 * Pure.
 *
 * @param made as read back from the file
 */
export function checkTimeline(
  parts: readonly JoinedPart[],
  timeline: TimelineSummary,
  made: SampleTables,
  index: Mp4Index,
): string[] {
  const findings: string[] = [];
  let [videoSamples, audioSamples] = [0, timeline.silentPackets];
  for (const [i, { media, place, insertedBytes }] of parts.entries()) {
    const video = partTrack(timeline, made.video, i, insertedBytes);
    const audio = partTrack(timeline, made.audio, i, 0);
    videoSamples += video?.samples ?? 0;
    audioSamples += audio?.samples ?? 0;
    const startMs = startMsOf(media.counts);
    const counts = {
      video: placed(media.counts.video, startMs, place),
      audio: withoutLeftOut(placed(media.counts.audio, startMs, place), timeline, i),
    };
    const tracks = [video, audio].filter((track) => track !== undefined);
    const own = checkMedia(media.plan, counts, { ...index, tracks }, media.isIncomplete);
    own.push(
      ...checkPlace("picture", media, counts.video, video),
      ...checkPlace("sound", media, counts.audio, audio),
    );
    findings.push(...own.map((finding) => `of segment ${i + 1}, ${finding}`));
  }
  findings.push(...checkNumber("picture", made.video, videoSamples));
  findings.push(...checkNumber("sound", made.audio, audioSamples));
  if (!timeline.leavesHoles && made.audio !== undefined) {
    findings.push(...checkHoles(made.audio, timeline.soundPacketMs));
  }
  return findings;
}

function checkPlace(
  name: string,
  { plan, isIncomplete }: JoinedPart["media"],
  count: StreamCount | undefined,
  track: Mp4Track | undefined,
): string[] {
  if (count?.firstMs === undefined || track?.firstMs === undefined) return [];
  // Its first pictures may need others that are missing.
  if (isIncomplete && plan.action === "transcode") return [];
  const primingMs = plan.action === "copy" ? (count.primingMs ?? 0) : 0;
  const awayMs = Math.abs(track.firstMs - (count.firstMs - primingMs));
  return awayMs <= SPAN_DIFFERENCE_MS_MAX
    ? []
    : [`${name} begins ${Math.round(awayMs)} ms from its place`];
}

function checkNumber(name: string, table: SampleTable | undefined, samples: number): string[] {
  const count = table?.count ?? 0;
  return count === samples ? [] : [`${name} has ${count} packets, there should be ${samples}`];
}

/** @param packetMs of the sources: most packets of the file can be the shorter ones of its silence */
function checkHoles(table: SampleTable, packetMs: number): string[] {
  const { decodeTicks, ticksPerSecond } = table;
  const longest = ((packetMs + SOUND_HOLE_MS) * ticksPerSecond) / 1_000 + 1;
  for (let i = 0; i + 1 < table.count; i += 1) {
    const step = (decodeTicks[i + 1] ?? 0) - (decodeTicks[i] ?? 0);
    if (step > longest) return [`sound has a hole at ${Math.round(presentedMs(table, i))} ms`];
  }
  return [];
}

/** What the track's MP4 has of one part, as if it were a track by itself. */
function partTrack(
  timeline: TimelineSummary,
  table: SampleTable | undefined,
  part: number,
  insertedBytes: number,
): Mp4Track | undefined {
  const track = timeline.tracks.find(({ kind }) => kind === table?.kind);
  const range = track?.parts.find((candidate) => candidate.part === part);
  if (table === undefined || track === undefined || range === undefined) return undefined;
  const silent = track.silences.filter(({ first }) => first >= range.first && first <= range.last);
  let firstMs = Infinity;
  let lastMs = -Infinity;
  let bytes = -insertedBytes;
  for (let i = range.first; i <= range.last; i += 1) {
    const atMs = presentedMs(table, i);
    if (atMs < firstMs) firstMs = atMs;
    if (atMs > lastMs) lastMs = atMs;
    bytes += table.sizes[i] ?? 0;
  }
  const stepTicks = (table.decodeTicks[range.last + 1] ?? 0) - (table.decodeTicks[range.last] ?? 0);
  return {
    kind: table.kind,
    format: "",
    width: 0,
    height: 0,
    samples: range.last - range.first + 1 - sum(silent.map(({ samples }) => samples)),
    bytes: bytes - sum(silent.map((silence) => silence.bytes)),
    firstMs: firstMs - (range.leftOut?.durationMs ?? 0),
    ticksPerSecond: table.ticksPerSecond,
    lastMs,
    endMs: lastMs + (stepTicks / table.ticksPerSecond) * 1_000,
    playedEndMs: undefined,
  };
}

/** What the joined file must have of a part's sound. */
function withoutLeftOut(
  count: StreamCount | undefined,
  timeline: TimelineSummary,
  part: number,
): StreamCount | undefined {
  const track = timeline.tracks.find(({ kind }) => kind === "audio");
  const leftOut = track?.parts.find((candidate) => candidate.part === part)?.leftOut;
  if (count === undefined || leftOut === undefined) return count;
  return {
    ...count,
    packets: count.packets - leftOut.packets,
    bytes: count.bytes === undefined ? undefined : count.bytes - leftOut.bytes,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function placed(
  count: StreamCount | undefined,
  startMs: number,
  { toTrackMs }: Pick<PlacedPart, "toTrackMs">,
): StreamCount | undefined {
  if (count?.firstMs === undefined || count.lastMs === undefined) return count;
  return {
    ...count,
    firstMs: toTrackMs(count.firstMs - startMs),
    lastMs: toTrackMs(count.lastMs - startMs),
  };
}
