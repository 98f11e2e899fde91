import { FIXED_ONE, UNITY_MATRIX, pixelAspectIn } from "./mp4-orientation.ts";
import type { Mp4TrackTables, Runs } from "./mp4-track-tables.ts";
import { Uint32List } from "./number-list.ts";
import { type PictureSize, squareSize } from "./picture-display.ts";

/**
 * Of the movie and its edits: fine enough for any sound, and a multiple of milliseconds. Sound and
 * pictures count in clocks of their own.
 */
const MOVIE_TICKS_PER_SECOND = 90_000;

/** "und", three letters of five bits (ISO/IEC 14496-12, 8.4.2.3). */
const UNDETERMINED_LANGUAGE = 0x55c4;
const ENABLED_AND_IN_MOVIE = 3;
const FULL_VOLUME = 0x0100;

/** `ftyp` (ISO/IEC 14496-12, 4.3): the brands that ffmpeg writes, which all players take. */
export function fileType(): Buffer {
  const { pieces } = box("ftyp", Buffer.from("isom"), u32(0x200), Buffer.from("isomiso2avc1mp41"));
  return Buffer.concat(pieces);
}

/** Header of a media box of any size (4.2). */
export function mediaHeader(bytes: number): Buffer {
  return Buffer.concat([u32(1), Buffer.from("mdat"), u64(bytes + 16)]);
}

/** The index (`moov`) of an MP4, in which the places of the chunks are still to be set. */
export class MovieIndex {
  /** To be written one after the other: as one they would take their room twice. */
  readonly pieces: readonly Uint8Array[];
  /** Of all pieces. */
  readonly bytes: number;
  /** Of each track, the places of its chunks as `co64` has them (8.7.5). */
  readonly #offsets: readonly Buffer[];

  constructor(tracks: readonly Mp4TrackTables[]) {
    this.#offsets = tracks.map(({ chunks }) => Buffer.alloc(chunks.length * 8));
    this.pieces = movieBox(tracks, this.#offsets).pieces;
    this.bytes = this.pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Sets where in the file each chunk of each track stands.
   *
   * @param offsetBytesOf of a chunk by its index and that of its track
   */
  setChunkOffsets(offsetBytesOf: (track: number, chunk: number) => number): void {
    for (const [track, offsets] of this.#offsets.entries()) {
      for (let chunk = 0; chunk * 8 < offsets.length; chunk += 1) {
        const offsetBytes = offsetBytesOf(track, chunk);
        offsets.writeUInt32BE(Math.floor(offsetBytes / 2 ** 32), chunk * 8);
        offsets.writeUInt32BE(offsetBytes % 2 ** 32, 4 + chunk * 8);
      }
    }
  }
}

function movieBox(tracks: readonly Mp4TrackTables[], offsets: readonly Buffer[]): Box {
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
  const traks = tracks.map((track, i) => trackIndex(track, i + 1, offsets[i] ?? Buffer.alloc(0)));
  return box("moov", mvhd, ...traks);
}

function trackIndex(track: Mp4TrackTables, id: number, offsets: Buffer): Box {
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
    i32(...track.matrix),
    u32(fixedSide(width), fixedSide(height)),
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
  const minf = box("minf", header, box("dinf", dref), sampleTables(track, offsets));
  return box("trak", tkhd, edits(track), box("mdia", mdhd, hdlr, minf));
}

function sampleTables(track: Mp4TrackTables, offsets: Buffer): Box {
  const { steps, compositions, sizes, syncs, entries, chunks } = track;
  const isAllSync = track.kind === "audio" || syncs.length === sizes.length;
  return box(
    "stbl",
    fullBox("stsd", 0, 0, u32(entries.length), ...entries),
    box("stts", runs(steps, 0)),
    // Version 1 has signed offsets.
    ...(hasOffsets(compositions) ? [box("ctts", runs(compositions, 1))] : []),
    ...(isAllSync ? [] : [fullBox("stss", 0, 0, u32(syncs.length), list(syncs))]),
    box("stsc", samplesPerChunk(track)),
    fullBox("stsz", 0, 0, u32(0, sizes.length), list(sizes)),
    fullBox("co64", 0, 0, u32(chunks.length), offsets),
  );
}

function hasOffsets({ values }: Runs): boolean {
  return values.length > 1 || values.at(0) !== 0;
}

function list(values: Uint32List): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  for (let i = 0; i < values.length; i += 1) bytes.writeUInt32BE(values.at(i), i * 4);
  return bytes;
}

function runs({ counts, values }: Runs, version: number): Buffer {
  const table = Buffer.alloc(8 + counts.length * 8);
  table.writeUInt8(version, 0);
  table.writeUInt32BE(counts.length, 4);
  for (let i = 0; i < counts.length; i += 1) {
    table.writeUInt32BE(counts.at(i), 8 + i * 8);
    table.writeUInt32BE(values.at(i), 12 + i * 8);
  }
  return table;
}

function samplesPerChunk({ chunks }: Mp4TrackTables): Buffer {
  const rows = new Uint32List();
  for (let i = 0; i < chunks.length; i += 1) {
    const [samples, entry] = [chunks.samples.at(i), chunks.entries.at(i)];
    const isAsBefore =
      i > 0 && samples === chunks.samples.at(i - 1) && entry === chunks.entries.at(i - 1);
    if (isAsBefore) continue;
    rows.push(i + 1);
    rows.push(samples);
    rows.push(entry + 1);
  }
  return Buffer.concat([u32(0, rows.length / 3), list(rows)]);
}

/**
 * A track that begins after the movie's zero is delayed by an empty edit; what comes before its
 * presentation, as sound has with an encoder's priming, is not played; and it is played until its last
 * picture was shown, which pictures out of order are not when the last one was decoded (8.6.6).
 */
function edits(track: Mp4TrackTables): Box | Buffer {
  const { firstTicks = 0, ticksPerSecond, durationTicks } = track;
  const { presentedFromTicks: fromTicks, presentedToTicks: toTicks } = track;
  const mediaTicks = Math.max(0, fromTicks - firstTicks);
  if (fromTicks === 0 && mediaTicks === 0 && toTicks === firstTicks + durationTicks) {
    return Buffer.alloc(0);
  }
  const played = Buffer.concat([
    u64(movieTicksOf(toTicks - fromTicks, ticksPerSecond)),
    i64(mediaTicks),
    u32(0x10000),
  ]);
  const empty = Buffer.concat([
    u64(movieTicksOf(fromTicks, ticksPerSecond)),
    i64(-1),
    u32(0x10000),
  ]);
  const rows = fromTicks > 0 ? [empty, played] : [played];
  return box("edts", fullBox("elst", 1, 0, u32(rows.length), ...rows));
}

function presentedMovieTicks(track: Mp4TrackTables): number {
  return movieTicksOf(track.presentedToTicks, track.ticksPerSecond);
}

function movieTicksOf(ticks: number, ticksPerSecond: number): number {
  return Math.max(0, Math.round((ticks * MOVIE_TICKS_PER_SECOND) / ticksPerSecond));
}

/** Width and height of a VisualSampleEntry (12.1.3), in square pixels as `tkhd` has them (8.3.2). */
function largestPicture({ kind, entries }: Mp4TrackTables): PictureSize {
  let largest: PictureSize = { width: 0, height: 0 };
  if (kind === "audio") return largest;
  for (const entry of entries) {
    const stored = { width: entry.readUInt16BE(32), height: entry.readUInt16BE(34) };
    const pixelAspect = pixelAspectIn(entry);
    const own = squareSize(stored, pixelAspect === undefined ? {} : { pixelAspect });
    if (own.width * own.height > largest.width * largest.height) largest = own;
  }
  return largest;
}

/** A side of a track's area: 16 bits before the point. */
function fixedSide(pixels: number): number {
  return Math.min(pixels, 0xffff) * FIXED_ONE;
}

/** A box in pieces, so that large tables are put together only once. */
interface Box {
  readonly pieces: readonly Uint8Array[];
}

function box(type: string, ...contents: readonly (Box | Uint8Array)[]): Box {
  const pieces = contents.flatMap((content) =>
    content instanceof Uint8Array ? [content] : content.pieces,
  );
  const bytes = pieces.reduce((sum, { length }) => sum + length, 8);
  return { pieces: [u32(bytes), Buffer.from(type), ...pieces] };
}

function fullBox(
  type: string,
  version: number,
  flags: number,
  ...contents: readonly (Box | Uint8Array)[]
): Box {
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

function i32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeInt32BE(value, i * 4);
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
