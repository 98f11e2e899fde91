import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { StreamKind } from "../contract/marks.ts";
import type { FinalizeError } from "./finalize-errors.ts";
import { FfmpegFailedError, MediaUnreadableError } from "./finalize-errors.ts";
import { lacksParameterSets } from "./decoder-doubts.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import { type Finding, type SourceCounts, checkMedia, isUnplayable } from "./media-check.ts";
import { muxByMediabunny } from "./mediabunny-mux.ts";
import { copyMp4 } from "./mp4-copy.ts";
import { type Mp4Index, settleMp4Index } from "./mp4-index.ts";
import { planPicture } from "./picture-size.ts";
import { remuxNotes } from "./remux-notes.ts";
import { type JoinTargets, type RemuxPlan, planOfWay, wayOfPlan } from "./remux-plan.ts";
import { type Shares, type TriedWay, bestOf, nextWay } from "./remux-ways.ts";
import type { SourceTable } from "./mp4-source-tables.ts";
import type { SegmentNote } from "./segment-note.ts";
import { startMsOf } from "./media-origin.ts";
import { type SegmentSource, plainSource } from "./segment-source.ts";
import { type ShownShare, compareShown } from "./shown-media.ts";
import type { SourceStreams } from "./source-stream.ts";
import { withoutUndecodable } from "./undecodable-pictures.ts";
import {
  type RemuxContext,
  type SegmentMedia,
  comesToAnEnd,
  indexBytesMaxOf,
  planOrThrow,
} from "./segment-media.ts";

/** What a stream counts for of which nobody could tell how much of it is in the MP4. */
const UNCERTAIN_SHARE = 0.5;

/** A file that came of one way, with what does not agree in it. */
interface MadeWay {
  readonly path: string;
  readonly plan: RemuxPlan;
  readonly index: Mp4Index;
  readonly findings: readonly Finding[];
  readonly shown: Readonly<Record<StreamKind, ShownShare | undefined>> | undefined;
}

/** Tries one way after the other and keeps the best. */
export async function climb(
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
        "Nothing of its picture or sound could be decoded. What ffmpeg said is in the server's log; the " +
          "source, which can be downloaded, has all that came.",
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
  // Parameter sets that are in the stream alone are brought into the header by ffmpeg.
  const isWhole = plan.video === undefined || !lacksParameterSets(plan.video.source);
  if (indexed !== undefined && isWhole && plan.action === "copy" && plan.muxer === "ffmpeg") {
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
