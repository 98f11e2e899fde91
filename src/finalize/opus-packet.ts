/** Samples at 48 kHz in a millisecond: in these Opus counts, whatever rate went in (RFC 7845, 4). */
export const OPUS_SAMPLES_PER_MS = 48;

/** Milliseconds of one frame by the configuration in the table-of-contents byte: RFC 6716, table 2. */
const SILK_MS = [10, 20, 40, 60] as const;
const HYBRID_MS = [10, 20] as const;
const CELT_MS = [2.5, 5, 10, 20] as const;
const FRAME_MS: readonly number[] = [
  [SILK_MS, SILK_MS, SILK_MS],
  [HYBRID_MS, HYBRID_MS],
  [CELT_MS, CELT_MS, CELT_MS, CELT_MS],
].flat(2);

/** RFC 6716, 3.2.5: a packet that claims more is malformed. */
const PACKET_MS_MAX = 120;

/**
 * How long an Opus packet sounds (RFC 6716, 3.1 and 3.2); undefined when it is none.
 *
 * @param from where the packet begins in `bytes`
 * @param to exclusive
 */
export function opusPacketMs(bytes: Uint8Array, from: number, to: number): number | undefined {
  const toc = bytes[from];
  if (toc === undefined || from >= to) return undefined;
  const frameMs = FRAME_MS[toc >> 3] ?? 0;
  switch (toc & 3) {
    case 0: {
      return frameMs;
    }
    case 3: {
      const frames = (from + 1 < to ? (bytes[from + 1] ?? 0) : 0) & 0x3f;
      const packetMs = frames * frameMs;
      return packetMs > 0 && packetMs <= PACKET_MS_MAX ? packetMs : undefined;
    }
    default: {
      return 2 * frameMs;
    }
  }
}
