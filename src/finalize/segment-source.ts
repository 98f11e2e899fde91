import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StreamKind } from "../contract/marks.ts";
import { type Container, containerOfHeader } from "../recording/container.ts";
import type { SegmentDamage, SegmentReader } from "../recording/ports.ts";
import type { ChunkEnd } from "./chunk-ends.ts";
import type { FfmpegContext } from "./ffmpeg-run.ts";
import { FileUnreadableError, MediaUnreadableError } from "./finalize-errors.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import { countsOf, filteredPayloads, streamsOf } from "./matroska-source.ts";
import type { SourceCounts } from "./media-check.ts";
import { sinceBegin, startMsOf } from "./media-origin.ts";
import { copyMp4 } from "./mp4-copy.ts";
import { writeWholeFragments } from "./mp4-fragments.ts";
import { probeMp4, writePayloads } from "./mp4-source.ts";
import type { SourceTable } from "./mp4-source-tables.ts";
import { rangesOf } from "./segment-report.ts";
import type { SegmentNote } from "./segment-note.ts";
import { type ShownStream, decodeShown } from "./shown-media.ts";
import type { SourceStream, SourceStreams, StreamCount } from "./source-stream.ts";

/** The usable bytes of a segment as one file, with what was counted in them. */
export interface SegmentSource {
  readonly path: string;
  readonly container: Container;
  /** Those that have packets. */
  readonly streams: SourceStreams;
  readonly counts: SourceCounts;
  readonly damage: SegmentDamage;
  /** Whether pictures can be missing that others need to be decoded. */
  readonly isIncomplete: boolean;
  /** See `SegmentMedia`. */
  readonly chunkEnds: readonly ChunkEnd[];
  /** How much later than they are counted the file has its times; see `MatroskaFilter` and `sinceBegin`. */
  readonly aheadMs: number;
  /** Media time 0 on the clock of the bytes, of those that are no MP4. */
  readonly originMs: number;
  /** See `SegmentMedia`. */
  readonly notes: readonly SegmentNote[];
  /** Of an MP4 whose own index could be followed: what it says; undefined for all others. */
  readonly indexed?: IndexedSource;
}

/** What the index of a recorder's MP4 says. */
interface IndexedSource {
  /** Of all its tracks, in the order of the file. */
  readonly tables: readonly SourceTable[];
  /** Media time 0 on the file's own clock. */
  readonly startMs: number;
}

/** Where a source is written, and what is at hand to find out what it holds. */
export interface SourceContext extends FfmpegContext {
  readonly workDirectory: string;
}

/** The first bytes, which tell the container. */
const SIGNATURE_BYTES = 16;

/**
 * The container of a segment.
 *
 * @throws MediaUnreadableError
 */
export async function containerOf(reader: SegmentReader): Promise<Container> {
  let head = Buffer.alloc(0);
  for await (const payload of reader.payloads(() => {})) {
    head = Buffer.concat([head, payload.subarray(0, SIGNATURE_BYTES)]);
    if (head.length >= SIGNATURE_BYTES) break;
  }
  const container = containerOfHeader(head);
  if (container === undefined) {
    throw new MediaUnreadableError("The first chunk is missing or has no container's header.");
  }
  return container;
}

/**
 * Writes the usable bytes of a segment into a file of the work directory.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function writeSource(
  reader: SegmentReader,
  container: Container,
  context: SourceContext,
): Promise<SegmentSource> {
  const { workDirectory, signal } = context;
  const path = join(workDirectory, `${crypto.randomUUID()}.source`);
  const damagedSequences: number[] = [];
  const onDamaged = (sequence: number): unknown => damagedSequences.push(sequence);
  if (container === "mp4") {
    const { droppedBytes, gapsBytes } = await writeWholeFragments(reader, path, onDamaged, signal);
    const damage = damageOf(reader, damagedSequences, droppedBytes);
    const { streams, counts, notes, indexed } = await probeIndexed(path, gapsBytes, context);
    return {
      path,
      container,
      streams: withPackets(streams, counts),
      counts,
      damage,
      isIncomplete: isIncomplete(reader, damage),
      chunkEnds: [],
      aheadMs: 0,
      originMs: 0,
      notes,
      ...(indexed && { indexed }),
    };
  }
  const filter = new MatroskaFilter(undefined, true);
  await writePayloads(filteredPayloads(reader, filter, onDamaged), path, signal);
  const counted = { counts: countsOf(filter), chunkEnds: [...filter.chunkEnds] };
  const { counts, chunkEnds, originMs } = sinceBegin(reader, counted, damagedSequences);
  const damage = damageOf(reader, damagedSequences, filter.droppedBytes);
  return {
    path,
    container,
    streams: withPackets(streamsOf(filter), counts),
    counts,
    damage,
    isIncomplete: isIncomplete(reader, damage),
    chunkEnds,
    aheadMs: filter.aheadMs + originMs,
    originMs,
    notes: [],
  };
}

/**
 * The same source, as all builds of ffmpeg read it alike: they differ in what they make of edit lists and of
 * negative composition offsets, so an MP4 whose index could be followed is written anew, with the begin
 * of its first stream at 0. Any other is given as it is.
 *
 * @throws file system errors, the signal's reason
 */
export async function plainSource(
  source: SegmentSource,
  { workDirectory, signal }: SourceContext,
): Promise<SegmentSource> {
  const { indexed, counts, streams, ...own } = source;
  if (indexed === undefined) return source;
  const path = join(workDirectory, `${crypto.randomUUID()}.source`);
  await copyMp4({
    inputPath: source.path,
    tables: indexed.tables,
    startMs: indexed.startMs + startMsOf(counts),
    outputPath: path,
    onProgress: () => {},
    signal,
  });
  const placed = <Stream extends SourceStream | undefined>(stream: Stream): Stream =>
    stream && { ...stream, position: writtenPosition(stream, indexed.tables) };
  return {
    ...own,
    path,
    counts,
    streams: {
      video: placed(streams.video),
      audio: placed(streams.audio),
      others: (streams.others ?? []).map((other) => placed(other)),
    },
    aheadMs: -startMsOf(counts),
  };
}

/** Tracks without a sample are not written. */
function writtenPosition(
  { kind, position = 0 }: SourceStream,
  tables: readonly SourceTable[],
): number {
  const before = tables.filter((table) => table.kind === kind).slice(0, position);
  return before.filter(({ count }) => count > 0).length;
}

/**
 * Writes all bytes of a segment as they came, of which nothing is whole, where a decoder shows something of
 * them all the same; undefined where it does not.
 *
 * @throws file system errors, the signal's reason
 */
export async function writeRawSource(
  reader: SegmentReader,
  container: Container,
  context: SourceContext,
): Promise<SegmentSource | undefined> {
  const path = join(context.workDirectory, `${crypto.randomUUID()}.source`);
  const damagedSequences: number[] = [];
  const payloads = reader.payloads((sequence) => damagedSequences.push(sequence));
  await writePayloads(payloads, path, context.signal);
  const probe = await probeByDecoding(path, container, context);
  if (probe === undefined) {
    await rm(path, { force: true });
    return undefined;
  }
  const damage = damageOf(reader, damagedSequences, 0);
  const { streams, counts } = probe;
  return {
    ...probe,
    path,
    container,
    streams: withPackets(streams, counts),
    damage,
    isIncomplete: true,
    chunkEnds: [],
    aheadMs: 0,
    originMs: 0,
  };
}

/**
 * What an MP4 holds. Where its description is damaged, what a decoder shows of it is all that is known.
 *
 * @throws MediaUnreadableError
 */
async function probeIndexed(
  path: string,
  gapsBytes: readonly number[],
  context: SourceContext,
): Promise<Pick<SegmentSource, "streams" | "counts" | "notes" | "indexed">> {
  try {
    const { streams, counts, tables, startMs } = await probeMp4(path, context.signal, gapsBytes);
    return { streams, counts, notes: [], ...(tables && { indexed: { tables, startMs } }) };
  } catch (error) {
    if (!(error instanceof FileUnreadableError)) throw error;
    const probe = await probeByDecoding(path, "mp4", context);
    if (probe === undefined) throw error;
    return probe;
  }
}

/** What a decoder shows of a file that nothing else can read; undefined when that is nothing. */
async function probeByDecoding(
  path: string,
  container: Container,
  context: SourceContext,
): Promise<Pick<SegmentSource, "streams" | "counts" | "notes"> | undefined> {
  const shown = await decodeShown({ path, container }, ["video", "audio"], 0, context);
  const counts = { video: countOfShown(shown.video), audio: countOfShown(shown.audio) };
  if (counts.video === undefined && counts.audio === undefined) return undefined;
  const text =
    "The description of its media is damaged: the MP4 has what a decoder shows of them all the same. " +
    "The source, which can be downloaded, has all that came.";
  return {
    streams: { video: undescribed("video"), audio: undescribed("audio") },
    counts,
    notes: [{ text, isLoss: true }],
  };
}

function countOfShown(shown: ShownStream | undefined): StreamCount | undefined {
  const [firstMs, lastMs] = [shown?.timesMs[0], shown?.timesMs.at(-1)];
  if (shown === undefined || lastMs === undefined) return undefined;
  const packets = shown.timesMs.length;
  const none = { bytes: undefined, holes: [] };
  return { packets, visiblePackets: packets, firstMs, lastMs, endMs: lastMs, ...none };
}

function undescribed(kind: StreamKind): SourceStream {
  const none = { width: null, height: null, preSkipMs: 0 };
  return { kind, codec: undefined, codecName: "Undescribed", parameters: "", ...none };
}

/** What of a segment could not be used. */
export function damageOf(
  { description }: SegmentReader,
  damagedSequences: readonly number[],
  unusableBytes: number,
): SegmentDamage {
  const { segmentId } = description;
  return { segmentId, damagedChunks: rangesOf(damagedSequences), unusableBytes };
}

/** Whether pictures of a segment can be missing that others need to be decoded. */
export function isIncomplete({ state }: SegmentReader, damage: SegmentDamage): boolean {
  return (
    damage.unusableBytes > 0 ||
    damage.damagedChunks.length > 0 ||
    state.sequences.missing(state.chunkCount ?? state.sequences.end).length > 0
  );
}

/** Those of the streams that have packets. */
export function withPackets(streams: SourceStreams, counts: SourceCounts): SourceStreams {
  return {
    ...streams,
    video: (counts.video?.packets ?? 0) > 0 ? streams.video : undefined,
    audio: (counts.audio?.packets ?? 0) > 0 ? streams.audio : undefined,
  };
}
