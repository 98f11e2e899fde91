import type { TimelineTrack } from "./timeline-track.ts";

/**
 * Of the movie and its edits: fine enough for any sound, and a multiple of milliseconds. Sound and
 * pictures count in clocks of their own.
 */
const MOVIE_TICKS_PER_SECOND = 90_000;

const UNITY_MATRIX = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000] as const;
/** "und", three letters of five bits (ISO/IEC 14496-12, 8.4.2.3). */
const UNDETERMINED_LANGUAGE = 0x55c4;
const ENABLED_AND_IN_MOVIE = 3;
const FULL_VOLUME = 0x0100;

/** `ftyp` (ISO/IEC 14496-12, 4.3): the brands that ffmpeg writes, which all players take. */
export function fileType(): Buffer {
  return box("ftyp", Buffer.from("isom"), u32(0x200), Buffer.from("isomiso2avc1mp41"));
}

/** Header of a media box of any size (4.2). */
export function mediaHeader(bytes: number): Buffer {
  return Buffer.concat([u32(1), Buffer.from("mdat"), u64(bytes + 16)]);
}

/**
 * The index (`moov`) of an MP4. Its length depends on nothing but the tracks.
 *
 * @param offsetsBytes of each track's chunks in the file
 */
export function movieIndex(
  tracks: readonly TimelineTrack[],
  offsetsBytes: readonly Float64Array[],
): Buffer {
  const movieTicks = Math.max(0, ...tracks.map(presentedMovieTicks));
  const mvhd = fullBox(
    "mvhd",
    1,
    0,
    u64(0),
    u64(0),
    u32(MOVIE_TICKS_PER_SECOND),
    u64(movieTicks),
    u32(0x10000),
    u16(FULL_VOLUME),
    Buffer.alloc(10),
    u32(...UNITY_MATRIX),
    Buffer.alloc(24),
    u32(tracks.length + 1),
  );
  const traks = tracks.map((track, i) =>
    trackIndex(track, i + 1, offsetsBytes[i] ?? new Float64Array()),
  );
  return box("moov", mvhd, ...traks);
}

function trackIndex(track: TimelineTrack, id: number, offsetsBytes: Float64Array): Buffer {
  const isVideo = track.kind === "video";
  const { width, height } = largestPicture(track);
  const tkhd = fullBox(
    "tkhd",
    1,
    ENABLED_AND_IN_MOVIE,
    u64(0),
    u64(0),
    u32(id, 0),
    u64(presentedMovieTicks(track)),
    Buffer.alloc(8),
    u16(0, isVideo ? 0 : 1, isVideo ? 0 : FULL_VOLUME, 0),
    u32(...UNITY_MATRIX, width * 0x10000, height * 0x10000),
  );
  const mdhd = fullBox(
    "mdhd",
    1,
    0,
    u64(0),
    u64(0),
    u32(track.ticksPerSecond),
    u64(track.durationTicks),
    u16(UNDETERMINED_LANGUAGE, 0),
  );
  const hdlr = fullBox(
    "hdlr",
    0,
    0,
    u32(0),
    Buffer.from(isVideo ? "vide" : "soun"),
    Buffer.alloc(12),
    Buffer.from(isVideo ? "VideoHandler\0" : "SoundHandler\0"),
  );
  const header = isVideo
    ? fullBox("vmhd", 0, 1, Buffer.alloc(8))
    : fullBox("smhd", 0, 0, Buffer.alloc(4));
  const dref = fullBox("dref", 0, 0, u32(1), fullBox("url ", 0, 1));
  const minf = box("minf", header, box("dinf", dref), sampleTables(track, offsetsBytes));
  return box("trak", tkhd, edits(track), box("mdia", mdhd, hdlr, minf));
}

function sampleTables(track: TimelineTrack, offsetsBytes: Float64Array): Buffer {
  const { steps, compositions, sizes, syncs, entries } = track;
  const hasOffsets = compositions.values.some((value) => value !== 0);
  const isAllSync = syncs.length === sizes.length;
  const stsz = Buffer.alloc(12 + sizes.length * 4);
  stsz.writeUInt32BE(sizes.length, 8);
  for (const [i, size] of sizes.entries()) stsz.writeUInt32BE(size, 12 + i * 4);
  const stss = Buffer.alloc(8 + syncs.length * 4);
  stss.writeUInt32BE(syncs.length, 4);
  for (const [i, sample] of syncs.entries()) stss.writeUInt32BE(sample, 8 + i * 4);
  const co64 = Buffer.alloc(8 + offsetsBytes.length * 8);
  co64.writeUInt32BE(offsetsBytes.length, 4);
  for (const [i, offset] of offsetsBytes.entries()) {
    co64.writeBigUInt64BE(BigInt(offset), 8 + i * 8);
  }
  return box(
    "stbl",
    fullBox("stsd", 0, 0, u32(entries.length), ...entries),
    box("stts", runs(steps, 0)),
    // Version 1 has signed offsets.
    ...(hasOffsets ? [box("ctts", runs(compositions, 1))] : []),
    ...(isAllSync ? [] : [box("stss", stss)]),
    box("stsc", samplesPerChunk(track)),
    box("stsz", stsz),
    box("co64", co64),
  );
}

function runs({ counts, values }: TimelineTrack["steps"], version: number): Buffer {
  const table = Buffer.alloc(8 + counts.length * 8);
  table.writeUInt8(version, 0);
  table.writeUInt32BE(counts.length, 4);
  for (const [i, count] of counts.entries()) {
    table.writeUInt32BE(count, 8 + i * 8);
    table.writeInt32BE((values[i] ?? 0) | 0, 12 + i * 8);
  }
  return table;
}

function samplesPerChunk({ chunks }: TimelineTrack): Buffer {
  const rows: number[] = [];
  let samples = -1;
  let entry = -1;
  for (const [i, chunk] of chunks.entries()) {
    if (chunk.samples === samples && chunk.entry === entry) continue;
    ({ samples, entry } = chunk);
    rows.push(i + 1, samples, entry + 1);
  }
  return Buffer.concat([u32(0, rows.length / 3), ...rows.map((value) => u32(value))]);
}

/**
 * A track that begins after the movie's zero is delayed by an empty edit; of one that begins before
 * it, as sound does with an encoder's priming, that much is not played (8.6.6).
 */
function edits(track: TimelineTrack): Buffer {
  const { firstTicks = 0, ticksPerSecond, durationTicks } = track;
  if (firstTicks === 0) return Buffer.alloc(0);
  const playedTicks = durationTicks - Math.max(0, -firstTicks);
  const played = Buffer.concat([
    u64(movieTicksOf(playedTicks, ticksPerSecond)),
    i64(Math.max(0, -firstTicks)),
    u32(0x10000),
  ]);
  const empty = Buffer.concat([
    u64(movieTicksOf(firstTicks, ticksPerSecond)),
    i64(-1),
    u32(0x10000),
  ]);
  const rows = firstTicks > 0 ? [empty, played] : [played];
  return box("edts", fullBox("elst", 1, 0, u32(rows.length), ...rows));
}

function presentedMovieTicks(track: TimelineTrack): number {
  const { firstTicks = 0, ticksPerSecond, durationTicks } = track;
  return movieTicksOf(firstTicks + durationTicks, ticksPerSecond);
}

function movieTicksOf(ticks: number, ticksPerSecond: number): number {
  return Math.max(0, Math.round((ticks * MOVIE_TICKS_PER_SECOND) / ticksPerSecond));
}

/** Width and height of a VisualSampleEntry (12.1.3). */
function largestPicture({ kind, entries }: TimelineTrack): { width: number; height: number } {
  let largest = { width: 0, height: 0 };
  if (kind === "audio") return largest;
  for (const entry of entries) {
    const [width, height] = [entry.readUInt16BE(32), entry.readUInt16BE(34)];
    if (width * height > largest.width * largest.height) largest = { width, height };
  }
  return largest;
}

function box(type: string, ...contents: readonly Uint8Array[]): Buffer {
  const bytes = contents.reduce((sum, { length }) => sum + length, 8);
  return Buffer.concat([u32(bytes), Buffer.from(type), ...contents]);
}

function fullBox(
  type: string,
  version: number,
  flags: number,
  ...contents: readonly Uint8Array[]
): Buffer {
  return box(type, u32(version * 0x1000000 + flags), ...contents);
}

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, i * 2);
  return bytes;
}

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function i64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
