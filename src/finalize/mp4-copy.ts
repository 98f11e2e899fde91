import { open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { MovieIndex, fileType, mediaHeader } from "./mp4-index-writer.ts";
import { Mp4Output, type OutputOptions } from "./mp4-output.ts";
import { presentedMs } from "./mp4-sample-tables.ts";
import type { SourceTable } from "./mp4-source-tables.ts";
import { Mp4TrackTables } from "./mp4-track-tables.ts";

/** What is to be copied. */
export interface Mp4CopyRequest extends OutputOptions {
  readonly inputPath: string;
  /** Each becomes a track of its own, in this order. */
  readonly tables: readonly SourceTable[];
  /** What is presented then stands at the new file's zero. */
  readonly startMs: number;
  readonly outputPath: string;
}

/**
 * A clock of pictures that is coarser is made finer, so that tracks keep their distance within 0.05 ms.
 * Sound counts in its samples: ffmpeg leaves out as many of them as an edit list has ticks.
 */
const TICKS_PER_SECOND_MIN = 10_000;

/** So many samples are placed at a stretch, in some 10 ms. */
const SAMPLES_PER_TURN = 32_768;

/**
 * Copies samples of a recorder's MP4 into one whose index stands before the media. Each is presented
 * when the source's own index says, on its own clock. The first picture is decoded when it is presented:
 * programs that ignore edit lists show it at its time too.
 *
 * @throws file system errors, the signal's reason
 */
export async function copyMp4(request: Mp4CopyRequest): Promise<void> {
  const { inputPath, tables, startMs, outputPath } = request;
  const tracks: CopiedTrack[] = [];
  for (const table of tables) {
    if (table.count > 0) tracks.push(await copiedTrack(table, startMs));
  }
  const chunks = tracks
    .flatMap((track, i) => track.chunks.map((chunk) => ({ ...chunk, track: i })))
    .toSorted((a, b) => a.atMs - b.atMs || a.track - b.track);
  const mediaBytes = chunks.reduce((sum, { bytes }) => sum + bytes, 0);
  const head = fileType();
  const index = new MovieIndex(tracks.map((track) => track.tables));
  const mediaHead = mediaHeader(mediaBytes);
  const offsetsBytes = tracks.map((): number[] => []);
  let at = head.length + index.bytes + mediaHead.length;
  for (const { track, bytes } of chunks) {
    offsetsBytes[track]?.push(at);
    at += bytes;
  }
  index.setChunkOffsets((track, chunk) => offsetsBytes[track]?.[chunk] ?? Number.NaN);
  await using output = await Mp4Output.create(outputPath, request);
  const source = await open(inputPath, "r");
  try {
    output.expect(at);
    for (const bytes of [head, ...index.pieces, mediaHead]) await output.write(bytes);
    for (const { track, first, end } of chunks) {
      const table = tracks[track]?.source;
      if (table === undefined) continue;
      for (let i = first; i < end;) {
        // Samples that stand behind each other in the source are copied at once.
        const from = table.offsetsBytes[i] ?? 0;
        let to = from;
        for (; i < end && table.offsetsBytes[i] === to; i += 1) to += table.sizes[i] ?? 0;
        await output.copy(source, from, to);
      }
    }
    await output.end();
  } finally {
    await source.close();
  }
}

/** A track of the new file, and where its samples come from. */
interface CopiedTrack {
  readonly source: SourceTable;
  readonly tables: Mp4TrackTables;
  readonly chunks: readonly CopiedChunk[];
}

interface CopiedChunk {
  /** When it begins, in milliseconds of the new file. */
  readonly atMs: number;
  /** Index of its first sample, and that behind its last one. */
  readonly first: number;
  end: number;
  bytes: number;
}

async function copiedTrack(source: SourceTable, startMs: number): Promise<CopiedTrack> {
  const { kind, count, decodeTicks, compositionTicks, sizes, isSync, entryIndexes } = source;
  const finer =
    kind === "audio" ? 1 : Math.max(1, Math.ceil(TICKS_PER_SECOND_MIN / source.ticksPerSecond));
  const ticksPerSecond = source.ticksPerSecond * finer;
  const ticksOf = (ms: number): number => Math.round(((ms - startMs) * ticksPerSecond) / 1_000);
  const tables = new Mp4TrackTables(
    kind,
    ticksPerSecond,
    source.entries.map((entry) => playableEntry(entry)),
    source.matrix,
  );
  const firstTicks = decodeTicks[0] ?? 0;
  let presentedTicks = Infinity;
  let lastMs = -Infinity;
  for (let i = 0; i < count; i += 1) {
    presentedTicks = Math.min(
      presentedTicks,
      (decodeTicks[i] ?? 0) + (compositionTicks?.[i] ?? 0) - firstTicks,
    );
    lastMs = Math.max(lastMs, presentedMs(source, i));
  }
  // What the first picture is presented after its decoding is taken from all.
  const firstAt = ticksOf(presentedMs(source, 0)) - (compositionTicks?.[0] ?? 0) * finer;
  const zero = firstAt + presentedTicks * finer;
  const chunks: CopiedChunk[] = [];
  let entry = -1;
  for (let i = 0; i < count; i += 1) {
    const atTicks = zero + ((decodeTicks[i] ?? 0) - firstTicks) * finer;
    const own = entryIndexes?.[i] ?? 0;
    let chunk = chunks.at(-1);
    if (chunk === undefined || own !== entry || tables.isChunkFull(atTicks)) {
      chunk = { atMs: (atTicks / ticksPerSecond) * 1_000, first: i, end: i, bytes: 0 };
      chunks.push(chunk);
      tables.beginChunk(own, atTicks);
      entry = own;
    }
    const bytes = sizes[i] ?? 0;
    const decodedTicks = tables.samples === 0 ? atTicks : Math.max(atTicks, tables.lastTicks);
    const shownTicks = atTicks + ((compositionTicks?.[i] ?? 0) - presentedTicks) * finer;
    tables.add(decodedTicks, shownTicks - decodedTicks, bytes, isSync?.[i] !== 0);
    chunk.end = i + 1;
    chunk.bytes += bytes;
    if (i % SAMPLES_PER_TURN === 0) await setImmediate();
  }
  const lastSampleTicks = ((decodeTicks[count] ?? 0) - (decodeTicks[count - 1] ?? 0)) * finer;
  tables.shownFromTicks = Math.max(0, ticksOf(source.shownFromMs));
  const { shownToMs } = source;
  const isCut = shownToMs !== undefined && shownToMs < lastMs;
  tables.end(Math.max(1, lastSampleTicks), isCut ? ticksOf(shownToMs) : undefined);
  return { source, tables, chunks };
}

/**
 * A sample entry as all players take it. Apple's play H.265 only as `hvc1`, which says that its parameter
 * sets are in the entry; more of them may stand in the stream.
 */
function playableEntry(entry: Buffer): Buffer {
  if (entry.toString("latin1", 4, 8) !== "hev1") return entry;
  const tagged = Buffer.from(entry);
  tagged.write("hvc1", 4, "latin1");
  return tagged;
}
