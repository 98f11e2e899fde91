import { LISTEN_RATE, type Decoded } from "./decoded.ts";
import { boxesOf } from "./fragment-boxes.ts";

/** How ffmpeg shows a fragmented MP4 at other times than its index says. */
export interface FragmentTimes {
  /** By how much it shows all pictures too late. */
  readonly picturesLateMs: number;
  /** Whether an edit list says that nothing is heard before zero. */
  readonly isSoundEdited: boolean;
}

/** ISO/IEC 14496-12, 8.8.8: what each sample of a run has, in the order of its fields. */
const FIELDS = [0x100, 0x200, 0x400, 0x800] as const;
const COMPOSITION = 0x800;
/** Of the run as a whole. */
const RUN_FIELDS = [0x01, 0x04] as const;

/**
 * Reads what ffmpeg does not heed in a fragmented MP4. Where composition offsets are negative it moves
 * decoding ahead by the largest of them (`dts_shift` in libavformat/mov.c), and of fragments only adds that
 * to presentation: a picture is presented at its decoding time plus its offset (8.6.1.3). And it plays what
 * comes before an edit's begin, as the priming of AAC (8.6.6).
 */
export function fragmentTimesOf(bytes: Buffer): FragmentTimes {
  const pictures = { track: 0, timescale: 1, leastTicks: 0 };
  let [track, timescale, fragments] = [0, 0, 0];
  let [isEdited, isSoundEdited] = [false, false];
  for (const { type, begin, end } of boxesOf(bytes, 0, bytes.length)) {
    const isLong = bytes[begin] === 1;
    if (type === "moof") fragments += 1;
    if (type === "trak") isEdited = false;
    if (type === "elst") isEdited = true;
    if (type === "tkhd") track = bytes.readUInt32BE(begin + (isLong ? 20 : 12));
    if (type === "mdhd") timescale = bytes.readUInt32BE(begin + (isLong ? 20 : 12));
    if (type === "hdlr") {
      const handler = bytes.toString("latin1", begin + 8, begin + 12);
      if (handler === "vide") Object.assign(pictures, { track, timescale });
      if (handler === "soun") isSoundEdited = isEdited;
    }
    if (type === "tfhd") track = bytes.readUInt32BE(begin + 4);
    if (type === "trun" && track === pictures.track) {
      pictures.leastTicks = Math.min(pictures.leastTicks, ...offsetsOf(bytes.subarray(begin, end)));
    }
  }
  return {
    picturesLateMs: Math.max(0, (-pictures.leastTicks * 1_000) / pictures.timescale),
    isSoundEdited: isSoundEdited && fragments > 0,
  };
}

/** The same, at the times that the index says. Pure. */
export function atIndexedTimes(
  decoded: Decoded,
  { picturesLateMs, isSoundEdited }: FragmentTimes,
): Decoded {
  const { pictures, sound } = decoded;
  const hiddenMs = isSoundEdited ? Math.max(0, -(sound?.fromMs ?? 0)) : 0;
  return {
    ...decoded,
    pictures: pictures.map((picture) =>
      Object.assign({}, picture, { ms: picture.ms - picturesLateMs }),
    ),
    sound: sound && {
      ...sound,
      fromMs: sound.fromMs + hiddenMs,
      samples: sound.samples.subarray(Math.round((hiddenMs * LISTEN_RATE) / 1_000)),
    },
  };
}

/** The composition offsets in a run, which have a sign. */
function offsetsOf(trun: Buffer): number[] {
  const flags = trun.readUInt32BE(0) & 0xffffff;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (!has(COMPOSITION)) return [];
  const sampleBytes = 4 * FIELDS.filter(has).length;
  const from = 8 + 4 * RUN_FIELDS.filter(has).length;
  return Array.from({ length: trun.readUInt32BE(4) }, (_, i) =>
    trun.readInt32BE(from + (i + 1) * sampleBytes - 4),
  );
}
