import { boxesIn, descend } from "./mp4-boxes.ts";

/**
 * A last picture of less is one of which nothing is known: ffmpeg 5.1 gives it the 1 ms that it takes for
 * the step of pictures whose steps vary. Cameras give up to 240 pictures a second.
 */
const LAST_PICTURE_MS_MIN = 4;

/**
 * Gives the last picture of each track a duration where it has none, in place. Returns whether anything
 * was changed.
 *
 * A recorder's stream does not say how long its last picture lasts. ffmpeg builds before 4.x then
 * write 0, and end the edit list where that picture begins, so that players never show it; later ones may
 * write 1 ms. It gets the median of the others. Sizes of boxes do not change.
 */
export function endLastSamples(moov: Buffer): boolean {
  const mvhd = descend(moov, "mvhd");
  const movieTimescale = mvhd.length < 24 ? 0 : readField(mvhd, timescaleField(mvhd));
  let hasChanged = false;
  for (const trak of boxesIn(moov).get("trak") ?? []) {
    const mdhd = descend(trak, "mdia", "mdhd");
    if (mdhd.length < 24) continue;
    const isVideo = descend(trak, "mdia", "hdlr").toString("latin1", 8, 12) === "vide";
    const ticksPerMs = readField(mdhd, timescaleField(mdhd)) / 1_000;
    const ticksMin = isVideo ? LAST_PICTURE_MS_MIN * ticksPerMs : 1;
    const ticks = endLastSample(descend(trak, "mdia", "minf", "stbl", "stts"), ticksMin);
    if (ticks === 0) continue;
    hasChanged = true;
    const addedMovieTicks = Math.ceil(
      (ticks * movieTimescale) / readField(mdhd, timescaleField(mdhd)),
    );
    extend(mdhd, durationField(mdhd), ticks);
    const tkhd = descend(trak, "tkhd");
    extend(tkhd, trackDurationField(tkhd), addedMovieTicks);
    const elst = descend(trak, "edts", "elst");
    if (elst.length >= 8) extend(elst, lastEditField(elst), addedMovieTicks);
    const trackTicks = readField(tkhd, trackDurationField(tkhd));
    const movieTicks = readField(mvhd, durationField(mvhd));
    extend(mvhd, durationField(mvhd), Math.max(0, trackTicks - movieTicks));
  }
  return hasChanged;
}

/** Returns the ticks that the last sample got; 0 when it lasts for `ticksMin` already, or is alone. */
function endLastSample(stts: Buffer, ticksMin: number): number {
  const lastAt = stts.length - 8;
  if (lastAt < 16 || stts.readUInt32BE(lastAt) !== 1) return 0;
  const had = stts.readUInt32BE(lastAt + 4);
  if (had >= ticksMin) return 0;
  const ticks = Math.max(had, medianDelta(stts.subarray(8, lastAt)));
  stts.writeUInt32BE(ticks, lastAt + 4);
  return ticks - had;
}

function medianDelta(entries: Buffer): number {
  const runs: { count: number; delta: number }[] = [];
  for (let at = 0; at + 8 <= entries.length; at += 8) {
    runs.push({ count: entries.readUInt32BE(at), delta: entries.readUInt32BE(at + 4) });
  }
  runs.sort((a, b) => a.delta - b.delta);
  let left = runs.reduce((sum, { count }) => sum + count, 0) / 2;
  for (const { count, delta } of runs) {
    left -= count;
    if (left <= 0) return delta;
  }
  return 0;
}

/** A number in a box: version 1 of a box has 8 bytes where version 0 has 4. */
interface Field {
  readonly at: number;
  readonly bytes: 4 | 8;
}

function isWide(box: Buffer): boolean {
  return box.length > 0 && box.readUInt8(0) === 1;
}

/** In `mvhd` and `mdhd`. */
function timescaleField(box: Buffer): Field {
  return { at: isWide(box) ? 20 : 12, bytes: 4 };
}

function durationField(box: Buffer): Field {
  return isWide(box) ? { at: 24, bytes: 8 } : { at: 16, bytes: 4 };
}

function trackDurationField(tkhd: Buffer): Field {
  return isWide(tkhd) ? { at: 28, bytes: 8 } : { at: 20, bytes: 4 };
}

/** Segment duration of the last edit, which plays the media. */
function lastEditField(elst: Buffer): Field {
  return isWide(elst) ? { at: elst.length - 20, bytes: 8 } : { at: elst.length - 12, bytes: 4 };
}

function readField(box: Buffer, { at, bytes }: Field): number {
  if (at < 0 || at + bytes > box.length) return 0;
  return bytes === 4 ? box.readUInt32BE(at) : Number(box.readBigUInt64BE(at));
}

function extend(box: Buffer, field: Field, ticks: number): void {
  if (field.at < 0 || field.at + field.bytes > box.length) return;
  const value = readField(box, field) + ticks;
  // All ones say that a duration is not known: what times out of all bounds are left with.
  if (field.bytes === 4) box.writeUInt32BE(Math.min(value, 0xffffffff), field.at);
  else box.writeBigUInt64BE(BigInt(value), field.at);
}
