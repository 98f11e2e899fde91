import { descend } from "./mp4-boxes.ts";
import { type SilentPacket, silentPackets } from "./silent-packets.ts";

/** Silence of one kind of sound. */
export interface Silence {
  /** From the longest to the shortest, each a divisor of the one before; at least one. */
  readonly packets: readonly SilentPacket[];
}

/** Opus in MP4 counts in 48 kHz ("Encapsulation of Opus in ISO BMFF", 4.3.3). */
const OPUS_TICKS_PER_SECOND = 48_000;

const AAC_LC = 2;

const AUDIO_ENTRY_BYTES = 36;

/**
 * The silent packets that fit between the packets of a sound; undefined for a sound of which none
 * are known.
 *
 * @param entry the sound's entry in `stsd`, with its header
 * @param ticksPerSecond of the clock in which a packet's samples are ticks
 */
export function silenceOf(entry: Buffer, ticksPerSecond: number): Silence | undefined {
  const codec = codecOf(entry, ticksPerSecond);
  const packets = codec === undefined ? [] : silentPackets(codec, channelsOf(entry));
  return packets.length === 0 ? undefined : { packets };
}

function codecOf(entry: Buffer, ticksPerSecond: number): "opus" | "aac" | undefined {
  const format = entry.toString("latin1", 4, 8);
  if (format === "Opus" && ticksPerSecond === OPUS_TICKS_PER_SECOND) return "opus";
  return format === "mp4a" && isAacLc(entry) ? "aac" : undefined;
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
