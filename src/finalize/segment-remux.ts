import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import { type Container, containerOfHeader } from "../recording/container.ts";
import type { SegmentDamage, SegmentReader } from "../recording/ports.ts";
import type { ChunkEnd } from "./chunk-ends.ts";
import { FfmpegFailedError, MediaMismatchError, MediaUnreadableError } from "./finalize-errors.ts";
import type { FfmpegConfinement } from "./ffmpeg-confinement.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import { countsOf, filteredPayloads, probeMatroska, streamsOf } from "./matroska-source.ts";
import { muxByMediabunny } from "./mediabunny-mux.ts";
import { type SourceCounts, checkMedia } from "./media-check.ts";
import { writeWholeFragments } from "./mp4-fragments.ts";
import { copyMp4 } from "./mp4-copy.ts";
import { probeFile, probeMp4, writePayloads } from "./mp4-source.ts";
import { type Mp4Index, settleMp4Index } from "./mp4-index.ts";
import { type JoinTargets, type RemuxPlan, planRemux } from "./remux-plan.ts";
import { rangesOf } from "./segment-report.ts";
import type { SourceTable } from "./mp4-source-tables.ts";
import { leadingNotes } from "./leading-pictures.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { SourceStreams } from "./source-stream.ts";
import { SyncAhead } from "./sync-ahead.ts";
import { withoutUndecodable } from "./undecodable-pictures.ts";

/** What a run has at hand. */
export interface RemuxContext {
  readonly ffmpeg: FfmpegBinary;
  readonly confinement: FfmpegConfinement;
  readonly limits: FinalizeLimits;
  /** A directory of this run alone, on the file system of the recordings. */
  readonly workDirectory: string;
  readonly signal: AbortSignal;
  /** Share of the segment that is done, 0 to 1. */
  readonly onProgress: (share: number) => void;
  /**
   * Takes why a segment could not be made this time, which then does not keep the others from being
   * delivered. Without it, what may pass fails the run.
   */
  readonly leaveOut?: (failure: FfmpegFailedError) => void;
}

/** In pixels. */
interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** A verified MP4 of one segment. */
export interface SegmentMedia {
  readonly path: string;
  readonly plan: RemuxPlan;
  readonly counts: SourceCounts;
  readonly index: Mp4Index;
  readonly damage: SegmentDamage;
  /** Whether pictures can be missing that others need to be decoded. */
  readonly isIncomplete: boolean;
  /** How far its media reach at the end of each chunk; empty where that is not known. */
  readonly chunkEnds: readonly ChunkEnd[];
  /** What its verdict has to name. */
  readonly notes: readonly SegmentNote[];
}

/**
 * Most bytes of the index for a packet: 4 in `stsz`, 8 in `stts`, 12 in `stsc` and 8 in `co64` when
 * every packet is a chunk of its own, 8 in `ctts` with B-frames, 4 in `stss` for a keyframe (ISO/IEC
 * 14496-12, 8.6 and 8.7).
 */
const INDEX_BYTES_PER_PACKET_MAX = 44;

/**
 * Bytes that are set aside for each packet while their number is a guess; what is not used stays as
 * a hole in the file. Recordings of Chromium took 12 to 20. When it is too little, a second run has
 * the room that is surely enough.
 */
const INDEX_BYTES_PER_PACKET_GUESS = 24;
const INDEX_BYTES_BASE = 16 * 1024;

/** The first bytes, which tell the container. */
const SIGNATURE_BYTES = 16;

/**
 * Which streams a segment has, as far as its beginning tells.
 *
 * @throws MediaUnreadableError
 */
export async function segmentStreams(
  reader: SegmentReader,
  context: RemuxContext,
): Promise<SourceStreams> {
  if ((await containerOf(reader)) === "matroska") return (await probeMatroska(reader)).streams;
  const path = join(context.workDirectory, `${crypto.randomUUID()}.source`);
  await writeWholeFragments(reader, path, () => {}, context.signal);
  return (await probeFile(path, context.signal)).streams;
}

/**
 * Makes a verified MP4 of one segment in the work directory.
 *
 * @param targets what it must be made, to be joined with others
 * @throws MediaUnreadableError, MediaMismatchError, FfmpegFailedError and what running ffmpeg throws
 */
export async function remuxSegment(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const container = await containerOf(reader);
  return container === "matroska"
    ? remuxMatroska(reader, targets, context)
    : remuxMp4(reader, targets, context);
}

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

async function remuxMatroska(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const probe = await probeMatroska(reader);
  let streams = probe.streams;
  let moovBytes = INDEX_BYTES_BASE + probe.packetsEstimate * INDEX_BYTES_PER_PACKET_GUESS;
  for (;;) {
    const plan = planOrThrow(streams, context, targets);
    const filter = new MatroskaFilter(undefined, true);
    const damagedSequences: number[] = [];
    let readBytes = 0;
    const payloads = tellingBytes(
      filteredPayloads(reader, filter, (sequence) => damagedSequences.push(sequence)),
      (bytes) => {
        readBytes += bytes;
        context.onProgress(Math.min(1, readBytes / Math.max(1, reader.state.bytes)));
      },
    );
    const path = join(context.workDirectory, `${crypto.randomUUID()}.mp4`);
    let failure: FfmpegFailedError | undefined;
    try {
      if (plan.muxer === "mediabunny") await muxFiltered(payloads, filter, path, context);
      else await pipeIntoFfmpeg(payloads, plan, moovBytes, path, reader, context);
    } catch (error) {
      if (!(error instanceof FfmpegFailedError)) throw error;
      failure = error;
    }
    const counts = countsOf(filter);
    const present = withPackets(streamsOf(filter), counts);
    const indexBytes = indexBytesMaxOf(counts);
    const index = failure === undefined ? await settleMp4Index(path) : undefined;
    if (index === undefined || !sameStreams(plan, present)) {
      // A stream that the header promises and that never came stops a muxer, and so does an index
      // that needs more room than was guessed. Now both are known.
      if (present.video === undefined && present.audio === undefined) {
        throw new MediaUnreadableError("The chunks hold no packet of picture or sound.");
      }
      const isNews = !sameStreams(plan, present) || indexBytes > moovBytes;
      if (isNews) {
        streams = present;
        moovBytes = indexBytes;
        continue;
      }
      throw failure ?? new FfmpegFailedError("a file without an index", "");
    }
    const damage = damageOf(reader, damagedSequences, filter.droppedBytes);
    const chunkEnds = [...filter.chunkEnds];
    return verified({ path, plan, counts, index, damage, chunkEnds, notes: [] }, reader);
  }
}

async function pipeIntoFfmpeg(
  payloads: AsyncIterable<Uint8Array>,
  plan: RemuxPlan,
  moovBytes: number,
  outputPath: string,
  reader: SegmentReader,
  { ffmpeg, confinement, limits, signal }: RemuxContext,
): Promise<void> {
  const picture = evenSize(plan);
  const syncAhead = new SyncAhead(outputPath);
  try {
    await runFfmpeg({
      ffmpeg,
      confinement,
      limits,
      tasks: [{ container: "matroska", input: "pipe:0", plan, moovBytes, picture, outputPath }],
      input: tellingBytes(payloads, (bytes) => syncAhead.wrote(bytes)),
      inputBytes: reader.state.bytes,
      onMediaMs: () => {},
      signal,
    });
  } finally {
    await syncAhead.stop();
  }
}

async function muxFiltered(
  payloads: AsyncIterable<Uint8Array>,
  filter: MatroskaFilter,
  outputPath: string,
  { workDirectory, signal }: RemuxContext,
): Promise<void> {
  const sourcePath = join(workDirectory, `${crypto.randomUUID()}.source`);
  await writePayloads(payloads, sourcePath, signal);
  const counts = countsOf(filter);
  await muxByMediabunny({
    inputPath: sourcePath,
    offsetMs: -startMsOf(counts) - filter.aheadMs,
    outputPath,
    videoPackets: counts.video?.packets ?? 0,
    audioPackets: counts.audio?.packets ?? 0,
    onMediaMs: () => {},
    signal,
  });
}

async function remuxMp4(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const { workDirectory, signal, ffmpeg, confinement, limits, onProgress } = context;
  const damagedSequences: number[] = [];
  let sourcePath = join(workDirectory, `${crypto.randomUUID()}.source`);
  const onDamaged = (sequence: number): unknown => damagedSequences.push(sequence);
  const droppedBytes = await writeWholeFragments(reader, sourcePath, onDamaged, signal);
  const probe = await probeMp4(sourcePath, signal);
  const { streams, counts, tables, startMs } = probe;
  const plan = planOrThrow(withPackets(streams, counts), context, targets);
  const path = join(workDirectory, `${crypto.randomUUID()}.mp4`);
  const notes = leadingNotes(counts);
  if (tables !== undefined) {
    const isCopy = plan.action === "copy";
    const outputPath = isCopy ? path : `${path}.plain`;
    // Builds of ffmpeg differ in what they make of edit lists and of negative composition offsets.
    await copyMp4({
      inputPath: sourcePath,
      tables: isCopy ? firstOfEachKind(tables) : tables,
      startMs: startMs + startMsOf(counts),
      outputPath,
      onProgress: isCopy ? onProgress : () => {},
      signal,
    });
    await rm(sourcePath);
    if (isCopy) {
      const damage = damageOf(reader, damagedSequences, droppedBytes);
      const index = await settleMp4Index(path);
      if (index === undefined) throw new FfmpegFailedError("a file without an index", "");
      const media = { path, plan, counts, index, damage, chunkEnds: [], notes };
      return verified(await withDamagedPictures(media, context), reader);
    }
    sourcePath = outputPath;
  }
  const durationMs = Math.max(counts.video?.lastMs ?? 0, counts.audio?.lastMs ?? 0, 1);
  const onMediaMs = (mediaMs: number): void => onProgress(Math.min(1, mediaMs / durationMs));
  if (plan.muxer === "mediabunny") {
    await muxByMediabunny({
      inputPath: sourcePath,
      offsetMs: -startMsOf(counts),
      outputPath: path,
      videoPackets: counts.video?.packets ?? 0,
      audioPackets: counts.audio?.packets ?? 0,
      onMediaMs,
      signal,
    });
  } else {
    const task = {
      container: "mp4" as const,
      input: { path: sourcePath },
      plan,
      moovBytes: indexBytesMaxOf(counts),
      picture: evenSize(plan),
      outputPath: path,
    };
    const inputBytes = reader.state.bytes;
    const input = undefined;
    const tasks = [task];
    await runFfmpeg({ ffmpeg, confinement, limits, tasks, input, inputBytes, onMediaMs, signal });
  }
  const damage = damageOf(reader, damagedSequences, droppedBytes);
  const index = await settleMp4Index(path);
  if (index === undefined) throw new FfmpegFailedError("a file without an index", "");
  return verified({ path, plan, counts, index, damage, chunkEnds: [], notes }, reader);
}

/** The media with what of their pictures no decoder can show. */
async function withDamagedPictures<Media extends Pick<SegmentMedia, "path" | "counts" | "notes">>(
  media: Media,
  context: RemuxContext,
): Promise<Media> {
  const { path, counts, notes } = media;
  if (counts.video === undefined) return media;
  const found = await withoutUndecodable(path, counts.video, startMsOf(counts), context);
  const video = found.count;
  return { ...media, counts: { ...counts, video }, notes: [...notes, ...found.notes] };
}

function firstOfEachKind(tables: readonly SourceTable[]): readonly SourceTable[] {
  return (["video", "audio"] as const).flatMap(
    (kind) => tables.find((table) => table.kind === kind && table.count > 0) ?? [],
  );
}

/**
 * How a segment becomes an MP4.
 *
 * @throws MediaUnreadableError
 */
export function planOrThrow(
  streams: SourceStreams,
  { ffmpeg }: RemuxContext,
  targets: JoinTargets,
): RemuxPlan {
  const decision = planRemux(streams, ffmpeg.abilities, targets);
  if (decision.outcome === "unsupported") throw new MediaUnreadableError(decision.reason);
  return decision.plan;
}

/**
 * The MP4 of a segment, once it was compared with the chunks.
 *
 * @throws MediaMismatchError
 */
export function verified(
  media: Omit<SegmentMedia, "isIncomplete">,
  reader: SegmentReader,
): SegmentMedia {
  const whole = { ...media, isIncomplete: isIncomplete(reader, media.damage) };
  const findings = checkMedia(whole.plan, whole.counts, whole.index, whole.isIncomplete);
  if (findings.length > 0) throw new MediaMismatchError(findings);
  return whole;
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

function isIncomplete({ state }: SegmentReader, damage: SegmentDamage): boolean {
  return (
    damage.unusableBytes > 0 ||
    damage.damagedChunks.length > 0 ||
    state.sequences.missing(state.chunkCount ?? state.sequences.end).length > 0
  );
}

/** Those of the streams that have packets. */
export function withPackets(streams: SourceStreams, counts: SourceCounts): SourceStreams {
  return {
    video: (counts.video?.packets ?? 0) > 0 ? streams.video : undefined,
    audio: (counts.audio?.packets ?? 0) > 0 ? streams.audio : undefined,
  };
}

function sameStreams(plan: RemuxPlan, streams: SourceStreams): boolean {
  return (
    (plan.video === undefined) === (streams.video === undefined) &&
    (plan.audio === undefined) === (streams.audio === undefined)
  );
}

/** When the first of the streams begins, in media time: in the segment's MP4 that is 0. */
export function startMsOf({ video, audio }: SourceCounts): number {
  return Math.min(...[video?.firstMs ?? [], audio?.firstMs ?? []].flat());
}

function packetsOf({ video, audio }: SourceCounts): number {
  return (video?.packets ?? 0) + (audio?.packets ?? 0);
}

/** Room that is surely enough for the index of so many packets. */
export function indexBytesMaxOf(counts: SourceCounts): number {
  return INDEX_BYTES_BASE + packetsOf(counts) * INDEX_BYTES_PER_PACKET_MAX;
}

function evenSize({ video }: RemuxPlan): PictureSize | undefined {
  const { width, height } = video?.source ?? {};
  if (!width || !height) return undefined;
  return { width: evenUp(width), height: evenUp(height) };
}

/** yuv420p has a colour sample for every second pixel, so both sides are made even. */
function evenUp(pixels: number): number {
  return pixels + (pixels % 2);
}

/** The same payloads; `tell` is called with the length of each when it was taken. */
async function* tellingBytes(
  payloads: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const payload of payloads) {
    yield payload;
    tell(payload.length);
  }
}
