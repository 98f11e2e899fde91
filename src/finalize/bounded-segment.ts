import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { EncodedPacketSink, FilePathSource, Input, MATROSKA, MP4, WEBM } from "mediabunny";
import type { SegmentReader, StoredChunk } from "../recording/ports.ts";
import { SequenceSet } from "../recording/sequence-set.ts";
import { readAt } from "../storage/whole-transfer.ts";
import { describeTime } from "../timeline/describe-times.ts";
import { FinalizeError, MediaUnreadableError } from "./finalize-errors.ts";
import { earlierCounts } from "./media-origin.ts";
import { muxByMediabunny } from "./mediabunny-mux.ts";
import type { JoinTargets } from "./remux-plan.ts";
import type { SegmentNote } from "./segment-note.ts";
import type { RemuxContext, SegmentMedia } from "./segment-media.ts";
import { remuxSegment } from "./segment-remux.ts";
import { containerOf, writeSource } from "./segment-source.ts";
import type { StreamCount } from "./source-stream.ts";
import { type BoundedTimes, TimeBounds, exceedsBounds } from "./time-bounds.ts";
import { GAP_MS_MAX } from "./timeline-places.ts";

/**
 * A segment's MP4, made again where its times exceed what an MP4 can hold (`exceedsBounds`): of a copy
 * of its packets with times that do not. Where there is no such copy, what was made first is given.
 *
 * @param attempt makes it of the bytes as they are; undefined when it could not
 * @throws what `attempt` throws, when its times are not the reason
 */
export async function withinBounds(
  attempt: () => Promise<SegmentMedia>,
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia> {
  let first: SegmentMedia | FinalizeError;
  try {
    first = await attempt();
  } catch (error) {
    if (!(error instanceof FinalizeError)) throw error;
    first = error;
  }
  if (first instanceof FinalizeError || exceedsBounds(first.counts)) {
    const bounded = await orUndefined(() => remuxBounded(reader, targets, context));
    if (bounded !== undefined) {
      if (first instanceof FinalizeError) return bounded;
      await rm(first.path, { force: true });
      return { ...bounded, isIncomplete: first.isIncomplete };
    }
  }
  if (first instanceof FinalizeError) throw first;
  return first;
}

async function orUndefined<T>(attempt: () => Promise<T>): Promise<T | undefined> {
  try {
    return await attempt();
  } catch (error) {
    // What comes of the first attempt is told instead.
    if (error instanceof FinalizeError) return undefined;
    throw error;
  }
}

/** Undefined when its times are no reason to make it in another way. */
async function remuxBounded(
  reader: SegmentReader,
  targets: JoinTargets,
  context: RemuxContext,
): Promise<SegmentMedia | undefined> {
  const { workDirectory, signal } = context;
  const source = await writeSource(reader, await containerOf(reader), context);
  const { path: sourcePath, damage } = source;
  const boundedPath = join(workDirectory, `${crypto.randomUUID()}.source`);
  try {
    if (!exceedsBounds(source.counts)) return undefined;
    const times = await timesOf(sourcePath, signal);
    const { video, audio } = source.counts;
    const zeroMs = source.indexed?.startMs ?? source.originMs;
    const firstMs = zeroMs + Math.min(packetsFromMs(video), packetsFromMs(audio));
    // Matroska has no times before its zero, where the priming of AAC stands.
    const offsetMs = -firstMs;
    await muxByMediabunny({
      inputPath: sourcePath,
      outputPath: boundedPath,
      container: "matroska",
      offsetMs,
      retime: (kind, packet, atMs) => times.keptMs(kind, packet, atMs),
      videoPackets: video?.packets,
      audioPackets: audio?.packets,
      onMediaMs: () => {},
      signal,
    });
    await rm(sourcePath, { force: true });
    const { size } = await stat(boundedPath);
    const made = await remuxSegment(fileReader(reader, boundedPath, size), targets, context);
    const chunkEnds = times.stepsBack > 0 ? [] : source.chunkEnds;
    return {
      ...made,
      counts: earlierCounts(made.counts, offsetMs + zeroMs),
      isIncomplete: true,
      damage,
      chunkEnds: chunkEnds.map(({ sequence, mediaEndMs }) => ({
        sequence,
        mediaEndMs: times.shortenedMs(mediaEndMs + zeroMs) - zeroMs,
      })),
      notes: [...made.notes, ...notesOf(times)],
    };
  } finally {
    await rm(sourcePath, { force: true });
    await rm(boundedPath, { force: true });
  }
}

/** So many packets are read at a stretch, in some 10 ms. */
const PACKETS_PER_TURN = 4_096;

async function timesOf(path: string, signal: AbortSignal): Promise<BoundedTimes> {
  const bounds = new TimeBounds();
  const input = new Input({ source: new FilePathSource(path), formats: [MP4, WEBM, MATROSKA] });
  try {
    const [video, audio] = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()];
    for (const track of [video, audio]) {
      if (track === null) continue;
      const options = { metadataOnly: true };
      let packets = 0;
      for await (const packet of new EncodedPacketSink(track).packets(
        undefined,
        undefined,
        options,
      )) {
        packets += 1;
        if (packets % PACKETS_PER_TURN === 0) await setImmediate();
        signal.throwIfAborted();
        bounds.add(track.isVideoTrack() ? "video" : "audio", packet.timestamp * 1_000);
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    throw new MediaUnreadableError("The chunks form no readable file.", { cause: error });
  } finally {
    input.dispose();
  }
  return bounds.settle(() => setImmediate());
}

/** Most places that a note names. */
const GAPS_TOLD_MAX = 3;

function notesOf(times: BoundedTimes): SegmentNote[] {
  const notes: SegmentNote[] = [];
  for (const { fromMs, toMs } of times.gaps.slice(0, GAPS_TOLD_MAX)) {
    const text =
      `The recorder's times jump by ${describeTime(toMs - fromMs)} at ${describeTime(fromMs)} of its ` +
      `media: what comes behind was moved nearer, to ${describeTime(GAP_MS_MAX)}, with picture and ` +
      "sound still together. If the recorder's clock was wrong, the time between is not real.";
    notes.push({ text, isLoss: true });
  }
  if (times.stepsBack > 0) {
    const often = times.stepsBack === 1 ? "" : ` ${times.stepsBack} times`;
    const text =
      `The recorder's times go back${often}: what comes behind follows on what was before, so that ` +
      "everything is there, but from then on not at a time that can be relied on.";
    notes.push({ text, isLoss: true });
  }
  return notes;
}

/** When the packets of a stream begin, also those that only warm its decoder up. */
function packetsFromMs(count: StreamCount | undefined): number {
  return count?.firstMs === undefined ? Infinity : count.firstMs - (count.primingMs ?? 0);
}

const PIECE_BYTES = 1024 * 1024;

/** The bytes of a file as if they were the chunks of a segment. */
function fileReader(segment: SegmentReader, path: string, bytes: number): SegmentReader {
  const sequences = new SequenceSet();
  const count = Math.ceil(bytes / PIECE_BYTES);
  for (let sequence = 0; sequence < count; sequence += 1) sequences.add(sequence);
  const { lastChunkAtMs } = segment.state;
  const byteLengthOf = (sequence: number): number | undefined =>
    sequences.has(sequence) ? Math.min(PIECE_BYTES, bytes - sequence * PIECE_BYTES) : undefined;
  async function* chunks(fromSequence = 0): AsyncGenerator<StoredChunk> {
    const file = await open(path, "r");
    try {
      for (let sequence = fromSequence; sequence < count; sequence += 1) {
        const payload = await readAt(file, sequence * PIECE_BYTES, byteLengthOf(sequence) ?? 0);
        yield {
          sequence,
          byteLength: payload.length,
          payload,
          capturedAtMs: null,
          receivedAtMs: lastChunkAtMs ?? 0,
        };
      }
    } finally {
      await file.close();
    }
  }
  return {
    ...segment,
    description: segment.description,
    state: { sequences, bytes, chunkCount: count, lastChunkAtMs },
    byteLengthOf,
    async *payloads() {
      for await (const { payload } of chunks()) yield payload;
    },
    chunks: (_onDamaged, { fromSequence } = {}) => chunks(fromSequence),
    async chunk(sequence) {
      for await (const chunk of chunks(sequence)) return chunk;
      return undefined;
    },
    stamps: () => segment.stamps(),
    marks: (countMax) => segment.marks(countMax),
    close: async () => {},
  };
}
