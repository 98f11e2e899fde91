import { setImmediate } from "node:timers/promises";
import type { StreamKind } from "../contract/marks.ts";
import { type Finding, SPAN_DIFFERENCE_MS_MAX, checkMedia, contentStartMs } from "./media-check.ts";
import type { Mp4Index, Mp4Track } from "./mp4-index.ts";
import { type SampleTable, type SampleTables, presentedMs } from "./mp4-sample-tables.ts";
import type { SegmentMedia } from "./segment-media.ts";
import { startMsOf } from "./media-origin.ts";
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

/** So many samples are looked at at a stretch, in some 10 ms. */
const SAMPLES_PER_TURN = 262_144;

/**
 * Compares a track's MP4 with what its segments hold, as counted without ffmpeg, each at its place.
 * Gives each thing that does not agree, as `checkMedia` does. Changes nothing; lets others have their
 * turn.
 *
 * @param made as read back from the file
 */
export async function checkTimeline(
  parts: readonly JoinedPart[],
  timeline: TimelineSummary,
  made: SampleTables,
  index: Mp4Index,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let [videoSamples, audioSamples] = [0, timeline.silentPackets];
  for (const [i, { media, place, insertedBytes }] of parts.entries()) {
    const video = await partTrack(timeline, made.video, i, insertedBytes);
    const audio = await partTrack(timeline, made.audio, i, 0);
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
      ...checkPlace("video", media, counts.video, video),
      ...checkPlace("audio", media, counts.audio, audio),
    );
    for (const { stream, kind, text } of own) {
      findings.push({ stream, kind, text: `of segment ${i + 1}, ${text}` });
    }
  }
  findings.push(...checkNumber("video", made.video, videoSamples));
  findings.push(...checkNumber("audio", made.audio, audioSamples));
  if (!timeline.leavesHoles && made.audio !== undefined) {
    findings.push(...(await checkHoles(made.audio, timeline.soundPacketMs)));
  }
  return findings;
}

function checkPlace(
  stream: StreamKind,
  { plan, isIncomplete }: JoinedPart["media"],
  count: StreamCount | undefined,
  track: Mp4Track | undefined,
): Finding[] {
  if (count?.firstMs === undefined || track?.firstMs === undefined) return [];
  // Its first pictures may need others that are missing.
  if (isIncomplete && plan.action === "transcode") return [];
  const own = plan[stream];
  const firstMs = own === undefined ? track.firstMs : contentStartMs(track.firstMs, own, track);
  const primingMs = own?.action === "copy" ? (count.primingMs ?? 0) : 0;
  const awayMs = Math.abs(firstMs - (count.firstMs - primingMs));
  if (awayMs <= SPAN_DIFFERENCE_MS_MAX) return [];
  const name = stream === "video" ? "picture" : "sound";
  const text = `${name} begins ${Math.round(awayMs)} ms from its place`;
  return [{ stream, kind: "place", text }];
}

function checkNumber(
  stream: StreamKind,
  table: SampleTable | undefined,
  samples: number,
): Finding[] {
  const count = table?.count ?? 0;
  if (count === samples) return [];
  const name = stream === "video" ? "picture" : "sound";
  const text = `${name} has ${count} packets, there should be ${samples}`;
  return [{ stream, kind: "count", text }];
}

/** @param packetMs of the sources: most packets of the file can be the shorter ones of its silence */
async function checkHoles(table: SampleTable, packetMs: number): Promise<Finding[]> {
  const { decodeTicks, ticksPerSecond } = table;
  const longest = ((packetMs + SOUND_HOLE_MS) * ticksPerSecond) / 1_000 + 1;
  for (let i = 0; i + 1 < table.count; i += 1) {
    const step = (decodeTicks[i + 1] ?? 0) - (decodeTicks[i] ?? 0);
    if (i % SAMPLES_PER_TURN === 0) await setImmediate();
    if (step > longest) {
      const text = `sound has a hole at ${Math.round(presentedMs(table, i))} ms`;
      return [{ stream: "audio", kind: "span", text }];
    }
  }
  return [];
}

/** What the track's MP4 has of one part, as if it were a track by itself. */
async function partTrack(
  timeline: TimelineSummary,
  table: SampleTable | undefined,
  part: number,
  insertedBytes: number,
): Promise<Mp4Track | undefined> {
  const track = timeline.tracks.find(({ kind }) => kind === table?.kind);
  const range = track?.parts.find((candidate) => candidate.part === part);
  if (table === undefined || track === undefined || range === undefined) return undefined;
  const silent = track.silences.filter(({ first }) => first >= range.first && first <= range.last);
  let firstMs = Infinity;
  let lastMs = -Infinity;
  let bytes = -insertedBytes;
  for (let i = range.first; i <= range.last; i += 1) {
    if ((i - range.first) % SAMPLES_PER_TURN === 0) await setImmediate();
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
