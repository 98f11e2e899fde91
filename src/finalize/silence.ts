import { descend } from "./mp4-boxes.ts";

/** A packet that decodes to silence, to be copied between others. */
export interface SilentPacket {
  readonly bytes: Uint8Array;
  /** In ticks of the sound's clock. */
  readonly ticks: number;
}

/** Silence of one kind of sound. */
export interface Silence {
  /** From the longest to the shortest, each a divisor of the one before. */
  readonly packets: readonly SilentPacket[];
}

/** Opus in MP4 counts in 48 kHz ("Encapsulation of Opus in ISO BMFF", 4.3.3). */
const OPUS_TICKS_PER_SECOND = 48_000;

/**
 * The range coder's bits of a CELT frame whose first flag says that it is silent (RFC 6716, 4.3):
 * the same for each length of frame and for one channel and two.
 */
const OPUS_SILENT_FRAME = [0xff, 0xfe] as const;

/** Table-of-contents bytes of fullband CELT, one frame (RFC 6716, 3.1): configurations 31 to 28. */
const OPUS_FRAMES = [
  { toc: 31 << 3, ticks: 960 },
  { toc: 30 << 3, ticks: 480 },
  { toc: 29 << 3, ticks: 240 },
  { toc: 28 << 3, ticks: 120 },
] as const;
const OPUS_STEREO = 0x04;

const AAC_FRAME_TICKS = 1_024;
const AAC_LC = 2;
/** From hls.js, `src/remux/aac-helper.ts`, `getSilentFrame("mp4a.40.2", ...)`. */
const AAC_LC_SILENT_FRAMES: ReadonlyMap<number, readonly number[]> = new Map([
  [1, [0x00, 0xc8, 0x00, 0x80, 0x23, 0x80]],
  [2, [0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80]],
]);

const AUDIO_ENTRY_BYTES = 36;

/**
 * The silent packets that fit between the packets of a sound; undefined for a sound of which none
 * are known.
 *
 * @param entry the sound's entry in `stsd`, with its header
 * @param ticksPerSecond of the clock in which the packets are to be counted
 */
export function silenceOf(entry: Buffer, ticksPerSecond: number): Silence | undefined {
  const format = entry.toString("latin1", 4, 8);
  const channels = channelsOf(entry);
  if (format === "Opus") {
    if (ticksPerSecond !== OPUS_TICKS_PER_SECOND) return undefined;
    const stereo = channels > 1 ? OPUS_STEREO : 0;
    return {
      packets: OPUS_FRAMES.map(({ toc, ticks }) => ({
        bytes: Uint8Array.of(toc | stereo, ...OPUS_SILENT_FRAME),
        ticks,
      })),
    };
  }
  const frame = AAC_LC_SILENT_FRAMES.get(channels);
  if (format !== "mp4a" || frame === undefined || !isAacLc(entry)) return undefined;
  return { packets: [{ bytes: Uint8Array.from(frame), ticks: AAC_FRAME_TICKS }] };
}

/** `channelcount` of an AudioSampleEntry (ISO/IEC 14496-12, 12.2.3). */
export function channelsOf(entry: Buffer): number {
  return entry.length < AUDIO_ENTRY_BYTES ? 0 : entry.readUInt16BE(24);
}

/**
 * Whether the decoder's parameters in `esds` say AAC-LC without extensions: an ES_Descriptor holds a
 * DecoderConfigDescriptor, that a DecoderSpecificInfo (ISO/IEC 14496-1, 7.2.6), and that an
 * AudioSpecificConfig, which begins with the object type in five bits (14496-3, 1.6.2.1).
 */
function isAacLc(entry: Buffer): boolean {
  const esds = descend(entry.subarray(AUDIO_ENTRY_BYTES), "esds");
  const stream = descriptorAt(esds, 4, 3);
  const decoder = descriptorAt(esds, stream + 3, 4);
  const specific = descriptorAt(esds, decoder + 13, 5);
  return (esds[specific] ?? 0) >> 3 === AAC_LC;
}

/** Where the contents of a descriptor begin; NaN when another one stands there. */
function descriptorAt(esds: Buffer, at: number, tag: number): number {
  if (esds[at] !== tag) return Number.NaN;
  let lengthAt = at + 1;
  // The length has seven bits in each byte; all but its last have the eighth set.
  while ((esds[lengthAt] ?? 0) >= 0x80) lengthAt += 1;
  return lengthAt + 1;
}
