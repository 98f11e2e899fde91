import { boxesOf } from "./fragment-boxes.ts";

/** By how much each kind of track is moved. */
export interface FragmentShift {
  readonly videoMs: number;
  readonly audioMs: number;
}

/**
 * Moves the tracks of a fragmented MP4 in time by what its fragments say (`tfdt`), as Safari and Chromium
 * do when one stream begins after the other. ffmpeg stretches the first sample instead. Changes `bytes`.
 */
export function shiftFragments(bytes: Buffer, { videoMs, audioMs }: FragmentShift): void {
  const tracks = new Map<number, { timescale: number; shiftMs: number }>();
  let track = 0;
  let timescale = 0;
  for (const { type, begin } of boxesOf(bytes, 0, bytes.length)) {
    const isLong = bytes[begin] === 1;
    if (type === "tkhd") track = bytes.readUInt32BE(begin + (isLong ? 20 : 12));
    if (type === "mdhd") timescale = bytes.readUInt32BE(begin + (isLong ? 20 : 12));
    if (type === "hdlr" && track > 0) {
      const isVideo = bytes.toString("latin1", begin + 8, begin + 12) === "vide";
      tracks.set(track, { timescale, shiftMs: isVideo ? videoMs : audioMs });
      track = 0;
    }
    if (type === "tfhd") track = bytes.readUInt32BE(begin + 4);
    if (type === "tfdt") add(bytes, begin + 4, isLong, ticksOf(tracks.get(track)));
    if (type === "sidx") {
      const own = tracks.get(bytes.readUInt32BE(begin + 4));
      add(bytes, begin + 12, isLong, ticksOf(own));
    }
  }
}

function ticksOf(track: { timescale: number; shiftMs: number } | undefined): number {
  return track === undefined ? 0 : Math.round((track.timescale * track.shiftMs) / 1_000);
}

function add(bytes: Buffer, at: number, isLong: boolean, ticks: number): void {
  if (isLong) bytes.writeBigUInt64BE(bytes.readBigUInt64BE(at) + BigInt(ticks), at);
  else bytes.writeUInt32BE(bytes.readUInt32BE(at) + ticks, at);
}
