import type { AacElement } from "./aac-config.ts";

/** A packet that decodes to silence, to be copied between others. */
export interface SilentPacket {
  readonly bytes: Uint8Array;
  /** Its length in samples of each channel: of 48 kHz for Opus, of the sound's own rate for AAC. */
  readonly samples: number;
}

/**
 * The range coder's bits of a CELT frame whose first flag says that it is silent (RFC 6716, 4.3):
 * the same for each length of frame and for one channel and two. WebRTC sends them for muted sound.
 */
const OPUS_SILENT_FRAME = [0xff, 0xfe] as const;

/** Table-of-contents bytes of fullband CELT, one frame (RFC 6716, 3.1): configurations 31 to 28. */
const OPUS_FRAMES = [
  { toc: 31 << 3, samples: 960 },
  { toc: 30 << 3, samples: 480 },
  { toc: 29 << 3, samples: 240 },
  { toc: 28 << 3, samples: 120 },
] as const;
const OPUS_STEREO = 0x04;

/**
 * Silence in Opus, from the longest packet to the shortest, each a divisor of the one before. In a packet
 * of several streams, all but the last say how long their frame is (RFC 6716, appendix B).
 *
 * @param streams in each packet (RFC 7845, 5.1.1); 1 to 255
 * @param coupled how many of them, the first ones, have two channels
 */
export function silentOpus(streams: number, coupled: number): readonly SilentPacket[] {
  return OPUS_FRAMES.map(({ toc, samples }) => {
    const bytes: number[] = [];
    for (let stream = 0; stream < streams; stream += 1) {
      bytes.push(toc | (stream < coupled ? OPUS_STEREO : 0));
      if (stream < streams - 1) bytes.push(OPUS_SILENT_FRAME.length);
      bytes.push(...OPUS_SILENT_FRAME);
    }
    return { bytes: Uint8Array.from(bytes), samples };
  });
}

/** `id_syn_ele` (ISO/IEC 14496-3, table 4.85). */
const AAC_ELEMENT_IDS = { single: 0, pair: 1, low: 3, end: 7 } as const;

/**
 * An `individual_channel_stream` without any band of frequencies (14496-3, 4.4.2.7): no gain, one long
 * window in the shape of a sine, `max_sfb` of 0, no pulses, no noise shaping, no gain control.
 */
const AAC_SILENT_CHANNEL_BITS = 8 + (1 + 2 + 1 + 6 + 1) + 3;

/**
 * Silence in AAC without extensions: a packet in which each element has no band of frequencies.
 *
 * @param samples of each channel in a packet
 */
export function silentAac(elements: readonly AacElement[], samples: number): SilentPacket {
  const bits: number[] = [];
  const write = (value: number, count: number): void => {
    for (let bit = count - 1; bit >= 0; bit -= 1) bits.push((value >> bit) & 1);
  };
  for (const { kind, tag } of elements) {
    write(AAC_ELEMENT_IDS[kind], 3);
    write(tag, 4);
    write(0, AAC_SILENT_CHANNEL_BITS);
    // A pair without a common window: a bit says so, and the second channel is like the first.
    if (kind === "pair") write(0, 1 + AAC_SILENT_CHANNEL_BITS);
  }
  write(AAC_ELEMENT_IDS.end, 3);
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [i, bit] of bits.entries())
    bytes[i >> 3] = (bytes[i >> 3] ?? 0) | (bit << (7 - (i & 7)));
  return { bytes, samples };
}
