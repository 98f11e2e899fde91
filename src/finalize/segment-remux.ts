import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StreamKind } from "../contract/marks.ts";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import type { SegmentDamage, SegmentReader } from "../recording/ports.ts";
import type { ChunkEnd } from "./chunk-ends.ts";
import {
  FfmpegFailedError,
  FinalizeError,
  MediaUnreadableError,
  NothingWholeError,
  passingFailure,
} from "./finalize-errors.ts";
import type { FfmpegConfinement } from "./ffmpeg-confinement.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import { countsOf, filteredPayloads, probeMatroska, streamsOf } from "./matroska-source.ts";
import { type Finding, type SourceCounts, checkMedia, isUnplayable } from "./media-check.ts";
import { muxByMediabunny } from "./mediabunny-mux.ts";
import { copyMp4 } from "./mp4-copy.ts";
import { type Mp4Index, settleMp4Index } from "./mp4-index.ts";
import type { PictureSize } from "./picture-display.ts";
import { planPicture } from "./picture-size.ts";
import { remuxNotes } from "./remux-notes.ts";
import { type JoinTargets, type RemuxPlan, planOfWay, planRemux, wayOfPlan } from "./remux-plan.ts";
import { type Shares, type TriedWay, bestOf, nextWay } from "./remux-ways.ts";
import type { SourceTable } from "./mp4-source-tables.ts";
import type { SegmentNote } from "./segment-note.ts";
import {
  type SegmentSource,
  containerOf,
  damageOf,
  isIncomplete,
  plainSource,
  startMsOf,
  withPackets,
  writeRawSource,
  writeSource,
} from "./segment-source.ts";
import { type ShownShare, compareShown } from "./shown-media.ts";
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
   * Takes why a segment could not be made as it is to be this time, which then does not keep the others,
   * or what of it can be made, from being delivered. Without it, what may pass fails the run.
   */
  readonly leaveOut?: (failure: FfmpegFailedError) => void;
  /** Takes why a way to make a segment was given up for another, for the log. */
  readonly onWayFailed?: (failure: FinalizeError) => void;
}

/** An MP4 of one segment that was compared with its chunks. */
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
  /** Whether it holds as many packets, at the same times, as were counted in the chunks. */
  readonly hasAsCounted: boolean;
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

/** Frames of AAC are 1,024 samples: 94 of 96 kHz in a second. */
const ENCODED_SOUND_FRAME_MS_MIN = 10;

/** What a stream counts for of which nobody could tell how much of it is in the MP4. */
const UNCERTAIN_SHARE = 0.5;

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
  const { path, streams } = await writeSource(reader, "mp4", context);
  await rm(path, { force: true });
  return streams;
}

/**
 * Makes an MP4 of one segment in the work directory: of all ways (`nextWay`) the one that brings most of
 * what a decoder shows of it. Where something stays behind its notes say so. The first way of a Matroska
 * stream needs no copy of it on the disk; for all others it is written there once.
 *
 * @param targets what it must be made, to be joined with others
 * @throws MediaUnreadableError when no way brings anything, FfmpegFailedError when one failed that may
 * succeed later, and what running ffmpeg throws
 */
export async function remuxSegment(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const container = await containerOf(reader);
  try {
    const piped =
      container === "matroska" ? await remuxFromPipe(reader, targets, context) : undefined;
    if (piped !== undefined) return piped;
    const source = await writeSource(reader, container, context);
    return await climb(source, reader.state.bytes, targets, context);
  } catch (error) {
    if (!(error instanceof NothingWholeError)) throw error;
    const source = await writeRawSource(reader, container, context);
    if (source === undefined) throw error;
    return await climb(source, reader.state.bytes, targets, context);
  }
}

/** Undefined when what came of it is not all that it should be. */
async function remuxFromPipe(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia | undefined> {
  const probe = await probeMatroska(reader);
  let streams = probe.streams;
  let moovBytes = INDEX_BYTES_BASE + probe.packetsEstimate * INDEX_BYTES_PER_PACKET_GUESS;
  for (;;) {
    const plan = planOrThrow(streams, context, targets);
    if (plan.muxer === "mediabunny") return undefined;
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
    const { picture } = planPicture(plan, undefined);
    const isMade = await comesToAnEnd(
      () => pipeIntoFfmpeg(payloads, { plan, moovBytes, path, picture }, reader, context),
      context,
    );
    const counts = countsOf(filter);
    const present = withPackets(streamsOf(filter), counts);
    const indexBytes = indexBytesMaxOf(counts, plan);
    const index = isMade ? await settleMp4Index(path) : undefined;
    if (index === undefined || !sameStreams(plan, present)) {
      await rm(path, { force: true });
      // A stream that the header promises and that never came stops a muxer, and so does an index
      // that needs more room than was guessed. Now both are known.
      if (present.video === undefined && present.audio === undefined) {
        throw new NothingWholeError("The chunks hold no packet of picture or sound.");
      }
      if (sameStreams(plan, present) && indexBytes <= moovBytes) return undefined;
      streams = present;
      moovBytes = indexBytes;
      continue;
    }
    const damage = damageOf(reader, damagedSequences, filter.droppedBytes);
    const chunkEnds = [...filter.chunkEnds];
    const ownPlan = { ...plan, leftOut: present.others ?? [] };
    const media = { path, plan: ownPlan, counts, index, damage, chunkEnds };
    const whole = wholeMedia({ ...media, isIncomplete: isIncomplete(reader, damage) });
    const isFitted = samePicture(picture, planPicture(plan, counts.video?.picture).picture);
    if (whole !== undefined && isFitted) return whole;
    await rm(path, { force: true });
    return undefined;
  }
}

async function pipeIntoFfmpeg(
  payloads: AsyncIterable<Uint8Array>,
  task: {
    readonly plan: RemuxPlan;
    readonly moovBytes: number;
    readonly path: string;
    readonly picture: PictureSize | undefined;
  },
  reader: SegmentReader,
  { ffmpeg, confinement, limits, signal }: RemuxContext,
): Promise<void> {
  const { plan, moovBytes, path: outputPath, picture } = task;
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

/** A file that came of one way, with what does not agree in it. */
interface MadeWay {
  readonly path: string;
  readonly plan: RemuxPlan;
  readonly index: Mp4Index;
  readonly findings: readonly Finding[];
  readonly shown: Readonly<Record<StreamKind, ShownShare | undefined>> | undefined;
}

/** Tries one way after the other and keeps the best. */
async function climb(
  source: SegmentSource,
  inputBytes: number,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  const base = sourcePlan(source, targets, context);
  const first = wayOfPlan(base);
  let plain: SegmentSource | undefined;
  const readable = async (): Promise<SegmentSource> =>
    (plain ??= await plainSource(source, context));
  const tried: TriedWay[] = [];
  const results: (MadeWay | undefined)[] = [];
  let passing: FfmpegFailedError | undefined;
  const trying = {
    ...context,
    onWayFailed: (failure: FinalizeError) => {
      if (failure instanceof FfmpegFailedError && !failure.isPermanent) passing ??= failure;
      context.onWayFailed?.(failure);
    },
  };
  for (let way = nextWay(first, tried); way !== undefined; way = nextWay(first, tried)) {
    const made = await tryWay({ source, readable }, planOfWay(base, way), inputBytes, trying);
    tried.push({ way, shares: made && sharesOf(made) });
    results.push(made);
  }
  for (const path of new Set([source.path, plain?.path ?? source.path])) {
    await rm(path, { force: true });
  }
  const best = results[bestOf(tried) ?? -1];
  const others = results.filter((made) => made !== undefined && made !== best);
  await Promise.all(others.map((made) => rm(made?.path ?? "", { force: true })));
  if (best === undefined) {
    throw (
      passing ??
      new MediaUnreadableError(
        "No decoder can show anything of its picture or sound. The source, which can be downloaded, " +
          "has all that came.",
      )
    );
  }
  const { path, plan, index, findings, shown } = best;
  const pictures = await shownPictures(best, source, context);
  const notes = [
    ...source.notes,
    ...pictures.notes,
    ...remuxNotes({
      base,
      plan,
      counts: source.counts,
      findings,
      shown,
      mayPass: passing !== undefined,
    }),
    ...planPicture(plan, source.counts.video?.picture).notes,
  ];
  // It could be made better another time.
  if (passing !== undefined && notes.some(({ isLoss }) => isLoss)) context.leaveOut?.(passing);
  const { damage, chunkEnds } = source;
  return {
    path,
    plan,
    counts: withoutLeftOut({ ...source.counts, video: pictures.count }, plan),
    index,
    damage,
    isIncomplete: source.isIncomplete,
    chunkEnds,
    notes,
    hasAsCounted: findings.length === 0,
  };
}

/** ffmpeg need not know a codec that is copied by an MP4's own index. */
function sourcePlan(
  { streams, indexed }: SegmentSource,
  targets: JoinTargets,
  context: RemuxContext,
): RemuxPlan {
  const { ffmpeg } = context;
  const abilities = { ...ffmpeg.abilities, av1InMp4: true };
  const able = { ...context, ffmpeg: { ...ffmpeg, abilities } };
  const copied = planOrThrow(streams, able, targets);
  return indexed !== undefined && copied.action === "copy"
    ? copied
    : planOrThrow(streams, context, targets);
}

/** Which of the pictures a decoder can show of those that were copied from an MP4. */
async function shownPictures(
  { path, plan }: MadeWay,
  { container, counts }: SegmentSource,
  context: RemuxContext,
): Promise<{ count: SourceCounts["video"]; notes: readonly SegmentNote[] }> {
  const { video } = counts;
  if (video === undefined || plan.video?.action !== "copy" || container !== "mp4") {
    return { count: video, notes: [] };
  }
  return withoutUndecodable(path, video, startMsOf(counts), context);
}

/** A source, and the same as ffmpeg can read it. */
interface ReadableSource {
  readonly source: SegmentSource;
  readonly readable: () => Promise<SegmentSource>;
}

/** Undefined when no file came of it that can be played. */
async function tryWay(
  { source, readable }: ReadableSource,
  plan: RemuxPlan,
  inputBytes: number,
  context: RemuxContext,
): Promise<MadeWay | undefined> {
  const path = join(context.workDirectory, `${crypto.randomUUID()}.mp4`);
  const isMade = await comesToAnEnd(
    () => runWay({ source, readable }, plan, { path, inputBytes }, context),
    context,
  );
  const index = isMade ? await settleMp4Index(path) : undefined;
  const findings = index && checkMedia(plan, source.counts, index, source.isIncomplete);
  if (index === undefined || findings === undefined || isUnplayable(findings)) {
    await rm(path, { force: true });
    return undefined;
  }
  const isToldByDecoder = findings.length > 0 && !isApart(source, findings);
  const shown = isToldByDecoder
    ? await compareShown(await readable(), { path, plan }, context)
    : undefined;
  return { path, plan, index, findings, shown };
}

/**
 * ffmpeg puts pictures of fragments with negative composition offsets at other times, be it to copy or to
 * show them: of an MP4 it cannot be asked whether picture and sound belong together.
 */
function isApart({ container, indexed }: SegmentSource, findings: readonly Finding[]): boolean {
  return (
    container === "mp4" && indexed === undefined && findings.some(({ kind }) => kind === "skew")
  );
}

async function runWay(
  { source, readable }: ReadableSource,
  plan: RemuxPlan,
  { path: outputPath, inputBytes }: { readonly path: string; readonly inputBytes: number },
  { ffmpeg, confinement, limits, signal, onProgress }: RemuxContext,
): Promise<void> {
  const { counts, container } = source;
  const lengthMs = Math.max(counts.video?.lastMs ?? 0, counts.audio?.lastMs ?? 0, 1);
  const onMediaMs = (mediaMs: number): void => onProgress(Math.min(1, mediaMs / lengthMs));
  const { indexed } = source;
  if (indexed !== undefined && plan.action === "copy" && plan.muxer === "ffmpeg") {
    await copyMp4({
      inputPath: source.path,
      tables: plannedTables(plan, indexed.tables),
      startMs: indexed.startMs + startMsOf(counts),
      outputPath,
      onProgress,
      signal,
    });
    return;
  }
  const readableSource = await readable();
  if (plan.muxer === "mediabunny") {
    await muxByMediabunny({
      inputPath: readableSource.path,
      offsetMs: -startMsOf(counts) - readableSource.aheadMs,
      outputPath,
      videoPackets: plan.video && counts.video?.packets,
      audioPackets: plan.audio && counts.audio?.packets,
      onMediaMs,
      signal,
    });
    return;
  }
  const task = {
    container,
    input: { path: readableSource.path },
    plan: replaced(plan, readableSource.streams),
    moovBytes: indexBytesMaxOf(counts, plan),
    picture: planPicture(plan, counts.video?.picture).picture,
    outputPath,
  };
  const tasks = [task];
  const input = undefined;
  await runFfmpeg({ ffmpeg, confinement, limits, tasks, input, inputBytes, onMediaMs, signal });
}

/** Those of the streams that the plan takes. */
function plannedTables(plan: RemuxPlan, tables: readonly SourceTable[]): readonly SourceTable[] {
  return (["video", "audio"] as const).flatMap((kind) => {
    const { position = 0 } = plan[kind]?.source ?? {};
    const table = plan[kind] && tables.filter((own) => own.kind === kind)[position];
    return table ?? [];
  });
}

/** The plan for streams that stand at other places. */
function replaced(plan: RemuxPlan, { video, audio }: SourceStreams): RemuxPlan {
  return {
    ...plan,
    video: plan.video && { ...plan.video, source: video ?? plan.video.source },
    audio: plan.audio && { ...plan.audio, source: audio ?? plan.audio.source },
  };
}

/**
 * Whether a way came to an end. One that failed for what may pass fails the run, unless this is the time
 * to deliver what can be made.
 */
async function comesToAnEnd(
  attempt: () => Promise<void>,
  { leaveOut, onWayFailed }: RemuxContext,
): Promise<boolean> {
  try {
    await attempt();
    return true;
  } catch (error) {
    const failure = error instanceof FinalizeError ? error : passingFailure(error);
    if (failure === undefined || !(failure.isPermanent || leaveOut)) throw error;
    onWayFailed?.(failure);
    return false;
  }
}

function sharesOf({ plan, findings, shown }: MadeWay): Shares {
  const share = (kind: StreamKind): number | undefined => {
    if (plan[kind] === undefined) return undefined;
    const told = shown?.[kind];
    if (told !== undefined) return told.share;
    const own = findings.filter(({ stream }) => stream === kind || stream === undefined);
    if (own.some((finding) => finding.kind === "absent")) return 0;
    return own.length === 0 ? 1 : UNCERTAIN_SHARE;
  };
  return { video: share("video"), audio: share("audio") };
}

/** A stream that was left out has no packet, but still tells where its segment's zero is. */
function withoutLeftOut(counts: SourceCounts, plan: RemuxPlan): SourceCounts {
  const own = (kind: StreamKind): SourceCounts[StreamKind] => {
    const count = counts[kind];
    if (count === undefined || plan[kind] !== undefined) return count;
    const { firstMs } = count;
    const none = { packets: 0, visiblePackets: 0, bytes: 0, holes: [] };
    return { ...none, firstMs, lastMs: undefined, endMs: undefined };
  };
  return { ...counts, video: own("video"), audio: own("audio") };
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
  if (decision.outcome === "unsupported") throw new NothingWholeError(decision.reason);
  return decision.plan;
}

/** The MP4 of a segment in which all is as it was counted in the chunks; undefined when it is not. */
export function wholeMedia(
  media: Omit<SegmentMedia, "notes" | "hasAsCounted">,
): SegmentMedia | undefined {
  const { plan, counts, index } = media;
  if (checkMedia(plan, counts, index, media.isIncomplete).length > 0) return undefined;
  const notes = [
    ...remuxNotes({ base: plan, plan, counts, findings: [], shown: undefined, mayPass: false }),
    ...planPicture(plan, counts.video?.picture).notes,
  ];
  return { ...media, notes, hasAsCounted: true };
}

function sameStreams(plan: RemuxPlan, streams: SourceStreams): boolean {
  return (
    (plan.video === undefined) === (streams.video === undefined) &&
    (plan.audio === undefined) === (streams.audio === undefined) &&
    plan.video?.source.position === streams.video?.position &&
    plan.audio?.source.position === streams.audio?.position
  );
}

function samePicture(one: PictureSize | undefined, other: PictureSize | undefined): boolean {
  return one?.width === other?.width && one?.height === other?.height;
}

/** Room that is surely enough for the index of what becomes of so many packets. */
export function indexBytesMaxOf({ video, audio }: SourceCounts, plan: RemuxPlan): number {
  const { firstMs = 0, endMs = firstMs } = audio ?? {};
  const soundPackets = Math.max(
    audio?.packets ?? 0,
    plan.audio?.action === "transcode" ? (endMs - firstMs) / ENCODED_SOUND_FRAME_MS_MIN : 0,
  );
  const packets = (video?.packets ?? 0) + Math.ceil(soundPackets);
  return INDEX_BYTES_BASE + packets * INDEX_BYTES_PER_PACKET_MAX;
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
