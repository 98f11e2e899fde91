import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { SegmentReader } from "../recording/ports.ts";
import { NothingWholeError } from "./finalize-errors.ts";
import { runFfmpeg } from "./ffmpeg-run.ts";
import { MatroskaFilter } from "./matroska-filter.ts";
import { countsOf, filteredPayloads, probeMatroska, streamsOf } from "./matroska-source.ts";
import { sinceBegin } from "./media-origin.ts";
import { settleMp4Index } from "./mp4-index.ts";
import type { PictureSize } from "./picture-display.ts";
import { planPicture } from "./picture-size.ts";
import type { JoinTargets, RemuxPlan } from "./remux-plan.ts";
import {
  containerOf,
  damageOf,
  isIncomplete,
  withPackets,
  writeRawSource,
  writeSource,
} from "./segment-source.ts";
import type { SourceStreams } from "./source-stream.ts";
import { SyncAhead } from "./sync-ahead.ts";
import {
  type RemuxContext,
  type SegmentMedia,
  INDEX_BYTES_BASE,
  comesToAnEnd,
  indexBytesMaxOf,
  planOrThrow,
  wholeMedia,
} from "./segment-media.ts";
import { climb } from "./remux-ladder.ts";

/**
 * Bytes that are set aside for each packet while their number is a guess; what is not used stays as
 * a hole in the file. Recordings of Chromium took 12 to 20. When it is too little, a second run has
 * the room that is surely enough.
 */
const INDEX_BYTES_PER_PACKET_GUESS = 24;

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
    const counted = { counts, chunkEnds: [...filter.chunkEnds] };
    const own = sinceBegin(reader, counted, damagedSequences);
    const ownPlan = { ...plan, leftOut: present.others ?? [] };
    const { counts: ownCounts, chunkEnds } = own;
    const media = { path, plan: ownPlan, counts: ownCounts, index, damage, chunkEnds };
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
