import { type FileHandle, open } from "node:fs/promises";
import { boxAt, boxesIn, descend } from "./mp4-boxes.ts";
import { endLastSamples } from "./mp4-last-sample.ts";
import { displayOfMatrix, matrixIn, pixelAspectIn } from "./mp4-orientation.ts";
import type { PictureDisplay } from "./picture-display.ts";

/** A track of a finished MP4, as its index (`moov`) describes it. */
export interface Mp4Track extends PictureDisplay {
  readonly kind: "video" | "audio" | "other";
  /** Of the sample entry, such as `avc1`, `vp09`, `Opus`. */
  readonly format: string;
  /** Of the largest picture as it is stored, in pixels; 0 for sound. */
  readonly width: number;
  readonly height: number;
  readonly samples: number;
  /** Sum of all samples. */
  readonly bytes: number;
  /**
   * When its first sample begins, after edit lists: before the presentation does where an encoder's
   * priming is cut off. Undefined without samples, as are the others.
   */
  readonly firstMs: number | undefined;
  /** From when on it is presented, where its edit list says so: not before that is it seen or heard. */
  readonly shownFromMs?: number | undefined;
  /** Ticks of its clock in a second; of sound it is the sample rate. */
  readonly ticksPerSecond: number;
  /** When its last sample begins to be presented. */
  readonly lastMs: number | undefined;
  /** When its last sample ends. */
  readonly endMs: number | undefined;
  /**
   * Where players end: as the edit list says or, without one, by the times of decoding. Of pictures that
   * are not decoded in their order the last one can seem to last longer.
   */
  readonly playedEndMs: number | undefined;
}

/** The index of a finished MP4. */
export interface Mp4Index {
  readonly tracks: readonly Mp4Track[];
  /** Whether it stands before the media, so that playing can begin before all is loaded. */
  readonly isBeforeMedia: boolean;
  /** Whether all samples lie in the media box. */
  readonly samplesAreInMedia: boolean;
}

/** An index beyond this is not read: some 50 hours of media. */
const MOOV_BYTES_MAX = 512 * 1024 * 1024;
const BOX_HEADER_BYTES = 16;
/** Boxes before the index: `ftyp`, `free`, `mdat` and few others. */
const TOP_LEVEL_BOXES_MAX = 64;

/**
 * Reads the index of an MP4 that was just made and nothing else of it, so that checking an hour of
 * media costs milliseconds; a last picture without a duration is given one first (`endLastSamples`).
 * Gives undefined when the file has no whole index. Only what ffmpeg and mediabunny write must be
 * understood: ISO/IEC 14496-12 without fragments.
 */
export async function settleMp4Index(path: string): Promise<Mp4Index | undefined> {
  const found = await settleMoov(path);
  return found === undefined ? undefined : mp4IndexOf(found);
}

/** The same, with the index as it stands in the file, of which more can be read. */
export async function settleMoov(path: string): Promise<FoundMoov | undefined> {
  const handle = await open(path, "r+");
  try {
    const { size } = await handle.stat();
    const found = await readMoov(handle, size);
    if (found === undefined) return undefined;
    const { bytes, moov } = found;
    if (endLastSamples(bytes)) await handle.write(bytes, 0, bytes.length, moov.from);
    return found;
  } finally {
    await handle.close();
  }
}

/**
 * How the pictures of a finished MP4 are shown; as they are when it has none, or no whole index.
 *
 * @throws file system errors
 */
export async function displayOfFile(path: string): Promise<PictureDisplay> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    const found = await readMoov(handle, size);
    const traks = found === undefined ? [] : (boxesIn(found.bytes).get("trak") ?? []);
    const [pictures] = traks.flatMap((trak) => (isVideoTrak(trak) ? displayOfTrak(trak) : []));
    return pictures ?? {};
  } finally {
    await handle.close();
  }
}

/** The index of an MP4 as it stands in the file, and where it and the media lie. */
export interface FoundMoov {
  /** Contents of the `moov` box. */
  readonly bytes: Buffer;
  readonly moov: Extent;
  readonly media: Extent;
}

/** Finds the index of a finished MP4 and reads it; undefined when the boxes do not fill the file. */
export async function readMoov(
  handle: FileHandle,
  fileBytes: number,
): Promise<FoundMoov | undefined> {
  let moov: Extent | undefined;
  let media: Extent | undefined;
  let at = 0;
  for (let boxes = 0; boxes < TOP_LEVEL_BOXES_MAX && at < fileBytes; boxes += 1) {
    const head = await readBytes(handle, at, Math.min(BOX_HEADER_BYTES, fileBytes - at));
    const box = boxAt(head, 0, fileBytes - at);
    if (box === undefined) return undefined;
    const extent = { from: at + box.headerBytes, to: at + box.size };
    if (box.type === "moov") moov = extent;
    if (box.type === "mdat") media = extent;
    at += box.size;
  }
  // When ffmpeg finds that the index needs more room than was set aside, it has already written it
  // over the beginning of the media, and still exits with 0. The boxes do not fill the file then.
  if (at !== fileBytes || moov === undefined || media === undefined) return undefined;
  if (moov.to - moov.from > MOOV_BYTES_MAX) return undefined;
  const bytes = await readBytes(handle, moov.from, moov.to - moov.from);
  return { bytes, moov, media };
}

/** Where the contents of a box lie; `to` is exclusive. */
export interface Extent {
  readonly from: number;
  readonly to: number;
}

async function readBytes(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(buffer, 0, length, at);
  return buffer.subarray(0, bytesRead);
}

/** What the index of an MP4 tells of its tracks. */
export function mp4IndexOf({ bytes, moov, media }: FoundMoov): Mp4Index {
  const movieTimescale = timescaleOf(descend(bytes, "mvhd"));
  const traks = boxesIn(bytes).get("trak") ?? [];
  const parsed = traks.map((trak) => parseTrak(trak, movieTimescale));
  return {
    tracks: parsed.map(({ track }) => track),
    isBeforeMedia: moov.from < media.from,
    samplesAreInMedia: parsed.every(
      ({ chunkOffsets: { first, last } }) => first >= media.from && last < media.to,
    ),
  };
}

/** Ticks per second: `mvhd` and `mdhd` begin alike (ISO/IEC 14496-12, 8.2.2 and 8.4.2). */
export function timescaleOf(header: Buffer): number {
  if (header.length < 24) return 0;
  return header.readUInt8(0) === 1 ? header.readUInt32BE(20) : header.readUInt32BE(12);
}

function isVideoTrak(trak: Buffer): boolean {
  return descend(trak, "mdia", "hdlr").toString("latin1", 8, 12) === "vide";
}

/** By the first description of its samples: all have the same shape (`joinTargets`). */
function displayOfTrak(trak: Buffer): PictureDisplay {
  const [entry] = sampleEntries(descend(trak, "mdia", "minf", "stbl", "stsd"));
  const pixelAspect = entry === undefined ? undefined : pixelAspectIn(entry);
  return {
    ...displayOfMatrix(matrixIn(descend(trak, "tkhd"))),
    ...(pixelAspect === undefined ? {} : { pixelAspect }),
  };
}

function parseTrak(
  trak: Buffer,
  movieTimescale: number,
): { track: Mp4Track; chunkOffsets: { first: number; last: number } } {
  const stbl = descend(trak, "mdia", "minf", "stbl");
  const tables = boxesIn(stbl);
  const table = (type: string): Buffer => tables.get(type)?.[0] ?? Buffer.alloc(0);
  const handler = descend(trak, "mdia", "hdlr").toString("latin1", 8, 12);
  const isVideo = handler === "vide";
  const { format, width, height } = sampleEntry(table("stsd"), isVideo);
  const { samples, bytes } = sampleSizes(table("stsz"));
  const timescale = timescaleOf(descend(trak, "mdia", "mdhd"));
  const times = sampleTimes(table("stts"), table("ctts"));
  const elst = descend(trak, "edts", "elst");
  const edit = editList(elst);
  const emptyMs = (edit.emptyDuration / movieTimescale) * 1_000;
  const toMs = (ticks: number): number => ((ticks - edit.mediaTime) / timescale) * 1_000 + emptyMs;
  const playedMs =
    edit.playedDuration > 0
      ? (edit.playedDuration / movieTimescale) * 1_000
      : ((times?.decodeEnd ?? 0) / timescale) * 1_000;
  const isTimed = times !== undefined && timescale > 0 && movieTimescale > 0;
  return {
    track: {
      ...(isVideo ? displayOfTrak(trak) : {}),
      kind: isVideo ? "video" : handler === "soun" ? "audio" : "other",
      format,
      width,
      height,
      samples,
      bytes,
      firstMs: isTimed ? toMs(times.first) : undefined,
      shownFromMs: isTimed && elst.length > 0 ? emptyMs : undefined,
      ticksPerSecond: timescale,
      lastMs: isTimed ? toMs(times.last) : undefined,
      endMs: isTimed ? toMs(times.end) : undefined,
      playedEndMs: isTimed ? emptyMs + playedMs : undefined,
    },
    chunkOffsets: tables.has("co64") ? ends(table("co64"), 8) : ends(table("stco"), 4),
  };
}

/** The first entry's format and the size of the largest picture that any of them has. */
function sampleEntry(
  stsd: Buffer,
  isVideo: boolean,
): { format: string; width: number; height: number } {
  const format = stsd.length < 16 ? "" : stsd.toString("latin1", 12, 16);
  let [width, height] = [0, 0];
  for (const entry of isVideo ? sampleEntries(stsd) : []) {
    if (entry.length < 36) continue;
    const [ownWidth, ownHeight] = [entry.readUInt16BE(32), entry.readUInt16BE(34)];
    if (ownWidth * ownHeight > width * height) [width, height] = [ownWidth, ownHeight];
  }
  return { format, width, height };
}

/** The entries of an `stsd` box, each with its header. */
export function sampleEntries(stsd: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 8; at < stsd.length;) {
    const box = boxAt(stsd, at, stsd.length - at);
    if (box === undefined || at + box.size > stsd.length) break;
    entries.push(stsd.subarray(at, at + box.size));
    at += box.size;
  }
  return entries;
}

function sampleSizes(stsz: Buffer): { samples: number; bytes: number } {
  if (stsz.length < 12) return { samples: 0, bytes: 0 };
  const size = stsz.readUInt32BE(4);
  const samples = stsz.readUInt32BE(8);
  if (size !== 0) return { samples, bytes: size * samples };
  let bytes = 0;
  const end = Math.min(stsz.length - 3, 12 + 4 * samples);
  for (let at = 12; at < end; at += 4) bytes += stsz.readUInt32BE(at);
  return { samples, bytes };
}

/**
 * First and last time of presentation and the end of the last sample, in ticks of the track, before
 * edits; undefined without samples. `stts` has decode times, `ctts` what presentation adds to them.
 */
function sampleTimes(
  stts: Buffer,
  ctts: Buffer,
): { first: number; last: number; end: number; decodeEnd: number } | undefined {
  let first = Infinity;
  let last = -Infinity;
  let end = -Infinity;
  let time = 0;
  let offset = 0;
  let offsetsAt = 8;
  let offsetsLeft = 0;
  for (let at = 8; at + 8 <= stts.length; at += 8) {
    const delta = stts.readUInt32BE(at + 4);
    for (let left = stts.readUInt32BE(at); left > 0; left -= 1) {
      if (offsetsLeft === 0 && offsetsAt + 8 <= ctts.length) {
        offsetsLeft = ctts.readUInt32BE(offsetsAt);
        // Signed in version 1; version 0 never reaches the sign bit.
        offset = ctts.readInt32BE(offsetsAt + 4);
        offsetsAt += 8;
      }
      offsetsLeft -= 1;
      const shown = time + offset;
      if (shown < first) first = shown;
      if (shown > last) last = shown;
      if (shown + delta > end) end = shown + delta;
      time += delta;
    }
  }
  return first === Infinity ? undefined : { first, last, end, decodeEnd: time };
}

/**
 * Empty edits come first and delay the track; then one edit says where in the media it begins, and for
 * how long it is played, 0 where that is not said.
 */
export function editList(elst: Buffer): {
  emptyDuration: number;
  mediaTime: number;
  playedDuration: number;
} {
  let emptyDuration = 0;
  const isWide = elst.length > 0 && elst.readUInt8(0) === 1;
  const entryBytes = isWide ? 20 : 12;
  for (let at = 8; at + entryBytes <= elst.length; at += entryBytes) {
    const duration = isWide ? Number(elst.readBigUInt64BE(at)) : elst.readUInt32BE(at);
    const mediaTime = isWide ? Number(elst.readBigInt64BE(at + 8)) : elst.readInt32BE(at + 4);
    if (mediaTime >= 0) return { emptyDuration, mediaTime, playedDuration: duration };
    emptyDuration += duration;
  }
  return { emptyDuration, mediaTime: 0, playedDuration: 0 };
}

/** First and last offset of a table of them, which muxers write in order; without entries none fits. */
function ends(table: Buffer, entryBytes: 4 | 8): { first: number; last: number } {
  if (table.length < 8 + entryBytes) return { first: -1, last: Infinity };
  const read = (at: number): number =>
    entryBytes === 4 ? table.readUInt32BE(at) : Number(table.readBigUInt64BE(at));
  return { first: read(8), last: read(table.length - entryBytes) };
}
