import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Container } from "../recording/container.ts";
import type { SegmentReader } from "../recording/ports.ts";
import { FfmpegFailedError } from "./finalize-errors.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import { probeMatroska } from "./matroska-source.ts";
import { type SourceCounts, checkMedia, isUnplayable } from "./media-check.ts";
import { settleMp4Index } from "./mp4-index.ts";
import { HOLES_MAX } from "./packet-counter.ts";
import { planPicture } from "./picture-size.ts";
import { remuxNotes } from "./remux-notes.ts";
import { type JoinTargets, type RemuxPlan, withMixedSounds } from "./remux-plan.ts";
import {
  type RemuxContext,
  type SegmentMedia,
  indexBytesMaxOf,
  planOrThrow,
} from "./segment-media.ts";
import { remuxSegment } from "./segment-remux.ts";
import { startMsOf } from "./media-origin.ts";
import { type SegmentSource, containerOf, plainSource, writeSource } from "./segment-source.ts";
import {
  type Hole,
  type SourceStream,
  type SourceStreams,
  type StreamCount,
  soundsOf,
} from "./source-stream.ts";

/**
 * Makes a verified MP4 of one segment in the work directory. Several sounds are mixed into one; where one of
 * them cannot be decoded, the others are.
 *
 * @param targets what it must be made, to be joined with others
 * @throws what `remuxSegment` throws
 */
export async function remuxWithSounds(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const mixed = await remuxSeveralSounds(reader, targets, context);
  return mixed ?? (await remuxSegment(reader, targets, context));
}

/** Undefined for a segment with one sound at most, and when it cannot be made. */
async function remuxSeveralSounds(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia | undefined> {
  const container = await containerOf(reader);
  const mayHave =
    container === "matroska"
      ? soundsOf((await probeMatroska(reader)).streams).length > 1
      : await mayHaveSeveralSounds(reader);
  if (!mayHave) return undefined;
  const source = await writeSource(reader, container, context);
  let written = source;
  try {
    written = await plainSource(source, context);
    const sounds = soundsOf(written.streams);
    if (sounds.length < 2) return undefined;
    for (const heard of waysToHear(sounds)) {
      const media = await made(written, heard, { reader, container, targets, context });
      if (media !== undefined) return media;
    }
    return undefined;
  } finally {
    await rm(source.path, { force: true });
    await rm(written.path, { force: true });
  }
}

/** `hdlr`, version and flags, a field that is not used, and what kind of track it is (ISO/IEC 14496-12, 8.4.3). */
const HANDLER_BYTES = 16;

/**
 * Whether an MP4 seems to have several tracks of sound: a glance that costs little beside finding out, since
 * nearly none has. It stops at the first fragment, before which all tracks are described.
 */
async function mayHaveSeveralSounds(reader: SegmentReader): Promise<boolean> {
  let rest = Buffer.alloc(0);
  let found = 0;
  for await (const payload of reader.payloads(() => {})) {
    const bytes = Buffer.concat([rest, payload]);
    for (let at = bytes.indexOf("hdlr"); at !== -1; at = bytes.indexOf("hdlr", at + 1)) {
      if (bytes.toString("latin1", at + HANDLER_BYTES - 4, at + HANDLER_BYTES) === "soun")
        found += 1;
    }
    if (found > 1) return true;
    if (bytes.includes("moof")) return false;
    rest = bytes.subarray(Math.max(0, bytes.length - HANDLER_BYTES + 1));
  }
  return false;
}

/** All of the sounds, then all but one of them. */
function waysToHear(sounds: readonly SourceStream[]): readonly (readonly SourceStream[])[] {
  return [sounds, ...sounds.toReversed().map((one) => sounds.filter((other) => other !== one))];
}

/** Undefined when it cannot be made in this way. */
async function made(
  written: SegmentSource,
  heard: readonly SourceStream[],
  {
    reader,
    container,
    targets,
    context,
  }: {
    readonly reader: SegmentReader;
    readonly container: Container;
    readonly targets: JoinTargets;
    readonly context: RemuxContext;
  },
): Promise<SegmentMedia | undefined> {
  const { ffmpeg, confinement, limits, workDirectory, signal, onProgress } = context;
  const { streams, counts } = written;
  const { plan, counts: wanted } = planFor(written, heard, targets, context);
  // That muxer copies, and no other can write such pictures.
  if (plan.video?.codec === "av1" && !ffmpeg.abilities.av1InMp4) return undefined;
  const startMs = startMsOf(counts);
  const path = join(workDirectory, `${crypto.randomUUID()}.mp4`);
  const durationMs = Math.max(1, (wanted.audio?.lastMs ?? startMs) - startMs);
  const task = {
    container,
    input: { path: written.path },
    plan,
    moovBytes: indexBytesMaxOf(wanted, plan),
    picture: planPicture(plan, wanted.video?.picture).picture,
    outputPath: path,
    mixedFromMs: heard.map((sound) => (countOf(sound, streams, counts)?.firstMs ?? 0) - startMs),
  };
  try {
    await runFfmpeg({
      ffmpeg,
      confinement,
      limits,
      tasks: [task],
      input: undefined,
      inputBytes: reader.state.bytes,
      onMediaMs: (mediaMs) => onProgress(Math.min(1, mediaMs / durationMs)),
      signal,
    });
    const index = await settleMp4Index(path);
    if (index === undefined) return undefined;
    const { damage, chunkEnds, isIncomplete } = written;
    const media = { path, plan, counts: wanted, index, damage, chunkEnds, isIncomplete };
    const findings = checkMedia(plan, wanted, index, isIncomplete);
    if (isUnplayable(findings)) {
      await rm(path, { force: true });
      return undefined;
    }
    const result = { base: plan, plan, counts: wanted, findings, shown: undefined, mayPass: false };
    const notes = [
      ...written.notes,
      ...remuxNotes(result),
      ...planPicture(plan, wanted.video?.picture).notes,
    ];
    return { ...media, notes, hasAsCounted: findings.length === 0 };
  } catch (error) {
    if (!(error instanceof FfmpegFailedError)) throw error;
    await rm(path, { force: true });
    return undefined;
  }
}

/** A plan in which so many sounds are heard, and what the source holds of what it takes. */
function planFor(
  { streams, counts }: SegmentSource,
  heard: readonly SourceStream[],
  targets: JoinTargets,
  context: RemuxContext,
): { readonly plan: RemuxPlan; readonly counts: SourceCounts } {
  const all = [streams.audio, ...(streams.others ?? [])];
  const others = all.flatMap((stream) =>
    stream === undefined || stream === heard[0] ? [] : [stream],
  );
  const plan = planOrThrow({ video: streams.video, audio: heard[0], others }, context, targets);
  const heardCounts = heard.flatMap((sound) => countOf(sound, streams, counts) ?? []);
  const unheard = others.flatMap((other) => countOf(other, streams, counts) ?? []);
  if (heard.length === 1) {
    return { plan, counts: { video: counts.video, audio: heardCounts[0], others: unheard } };
  }
  return {
    plan: withMixedSounds(
      plan,
      heard.map((sound, i) => withPriming(sound, heardCounts[i])),
      targets,
    ),
    counts: {
      video: counts.video,
      audio: mixedCount(heardCounts, startMsOf(counts)),
      others: unheard,
    },
  };
}

/** What is before the zero of its time is left out by decoders: an encoder put it there. */
function withPriming(sound: SourceStream, count: StreamCount | undefined): SourceStream {
  return { ...sound, preSkipMs: Math.max(sound.preSkipMs, -(count?.firstMs ?? 0)) };
}

function countOf(
  stream: SourceStream,
  { video, audio, others = [] }: SourceStreams,
  counts: SourceCounts,
): StreamCount | undefined {
  if (stream === video) return counts.video;
  return stream === audio ? counts.audio : counts.others?.[others.indexOf(stream)];
}

/** Where none of several sounds has a packet for longer, it is a hole of them all. */
const HOLE_MS = 100;

/**
 * What several sounds hold together, from the segment's begin on: before the first of them is silence. Pure.
 *
 * @param counts one or more, each with packets
 */
export function mixedCount(counts: readonly StreamCount[], startMs: number): StreamCount {
  const spans = counts.flatMap(spansOf).toSorted((a, b) => a.fromMs - b.fromMs);
  const holes: Hole[] = [];
  let endMs = startMs;
  for (const { fromMs, toMs } of spans) {
    if (fromMs - endMs > HOLE_MS && holes.length < HOLES_MAX)
      holes.push({ fromMs: endMs, toMs: fromMs });
    endMs = Math.max(endMs, toMs);
  }
  return {
    packets: counts.reduce((sum, { packets }) => sum + packets, 0),
    visiblePackets: counts.reduce((sum, { visiblePackets }) => sum + visiblePackets, 0),
    bytes: undefined,
    firstMs: startMs,
    lastMs: Math.max(...counts.map(({ lastMs }) => lastMs ?? startMs)),
    endMs,
    holes,
  };
}

/** From where to where a stream has packets. */
function spansOf({ firstMs, endMs, holes }: StreamCount): { fromMs: number; toMs: number }[] {
  if (firstMs === undefined || endMs === undefined) return [];
  const begins = [firstMs, ...holes.map(({ toMs }) => toMs)];
  const ends = [...holes.map(({ fromMs }) => fromMs), endMs];
  return begins.map((fromMs, i) => ({ fromMs, toMs: ends[i] ?? endMs }));
}
