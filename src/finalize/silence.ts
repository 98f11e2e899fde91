import { type AacConfig, aacConfig } from "./aac-config.ts";
import { descend } from "./mp4-boxes.ts";
import { opusChannels } from "./opus-channels.ts";
import { type SilentPacket, silentAac, silentOpus } from "./silent-packets.ts";

/** Silence of one kind of sound. */
export interface Silence {
  /** From the longest to the shortest, each a divisor of the one before; at least one. */
  readonly packets: readonly SilentPacket[];
}

/** Opus in MP4 counts in 48 kHz ("Encapsulation of Opus in ISO BMFF", 4.3.3). */
const OPUS_TICKS_PER_SECOND = 48_000;

const AUDIO_ENTRY_BYTES = 36;

/**
 * The silent packets that fit between the packets of a sound; undefined for a sound of which none
 * are known.
 *
 * @param entry the sound's entry in `stsd`, with its header
 * @param ticksPerSecond of the clock in which a packet's samples are ticks
 */
export function silenceOf(entry: Buffer, ticksPerSecond: number): Silence | undefined {
  switch (formatOf(entry)) {
    case "Opus": {
      const channels = opusChannels(descend(entry.subarray(AUDIO_ENTRY_BYTES), "dOps"), "box");
      if (channels === undefined || ticksPerSecond !== OPUS_TICKS_PER_SECOND) return undefined;
      return { packets: silentOpus(channels.streams, channels.coupled) };
    }
    case "mp4a": {
      return aacSilence(aacConfig(decoderParameters(entry)));
    }
    default: {
      return undefined;
    }
  }
}

/** Object types whose packets are of the same bits when they are silent: Main, LC and LTP. */
const AAC_OBJECT_TYPES: ReadonlySet<number> = new Set([1, 2, 4]);

/**
 * Silence in AAC; undefined where none is known. A decoder that was set up for an extension fills a packet
 * without one with what it has kept of the packet before.
 */
export function aacSilence(config: AacConfig | undefined): Silence | undefined {
  const { elements = [] } = config ?? {};
  if (config === undefined || config.isExtended || elements.length === 0) return undefined;
  if (!AAC_OBJECT_TYPES.has(config.objectType)) return undefined;
  return { packets: [silentAac(elements, config.packetSamples)] };
}

/**
 * How many channels a sound has, as its decoder's parameters say; where they do not, `channelcount` of
 * the AudioSampleEntry (ISO/IEC 14496-12, 12.2.3), which is 2 for one channel of AAC too.
 */
export function channelsOf(entry: Buffer): number {
  if (entry.length < AUDIO_ENTRY_BYTES) return 0;
  const own = formatOf(entry) === "mp4a" ? aacConfig(decoderParameters(entry))?.channels : 0;
  return own || entry.readUInt16BE(24);
}

function formatOf(entry: Buffer): string {
  return entry.toString("latin1", 4, 8);
}

/**
 * The DecoderSpecificInfo in `esds`: an ES_Descriptor holds a DecoderConfigDescriptor, and that the
 * parameters of the decoder (ISO/IEC 14496-1, 7.2.6). Empty when they are not there.
 */
function decoderParameters(entry: Buffer): Buffer {
  // Four bytes of version and flags are before the descriptors.
  const esds = descend(entry.subarray(AUDIO_ENTRY_BYTES), "esds").subarray(4);
  const stream = descriptor(esds, ES_DESCRIPTOR).subarray(ES_DESCRIPTOR_BYTES);
  const decoder = descriptor(stream, DECODER_CONFIG).subarray(DECODER_CONFIG_BYTES);
  return descriptor(decoder, DECODER_SPECIFIC_INFO);
}

/** Tags (14496-1, table 1), and what stands in each before the descriptors in it. */
const ES_DESCRIPTOR = 3;
const ES_DESCRIPTOR_BYTES = 3;
const DECODER_CONFIG = 4;
const DECODER_CONFIG_BYTES = 13;
const DECODER_SPECIFIC_INFO = 5;

/** The contents of the descriptor that `bytes` begin with; empty when it is another one. */
function descriptor(bytes: Buffer, tag: number): Buffer {
  if (bytes[0] !== tag) return Buffer.alloc(0);
  let length = 0;
  let at = 1;
  // The length has seven bits in each byte; all but its last have the eighth set.
  for (; (bytes[at] ?? 0) >= 0x80; at += 1) length = length * 128 + ((bytes[at] ?? 0) & 0x7f);
  length = length * 128 + (bytes[at] ?? 0);
  return bytes.subarray(at + 1, at + 1 + length);
}
