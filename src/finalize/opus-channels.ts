/** How the channels of Opus lie in the streams of its packets. */
export interface OpusChannels {
  readonly channels: number;
  /** In each packet. */
  readonly streams: number;
  /** How many of them, the first ones, have two channels. */
  readonly coupled: number;
  /**
   * Whether each packet says for itself how many channels it has, one or two, so that a decoder takes
   * both (RFC 7845, 5.1.1.1).
   */
  readonly isSelfDescribing: boolean;
}

/** `OpusHead` of Ogg and Matroska begins with a signature of eight bytes, `dOps` of MP4 does not. */
const SIGNATURE_BYTES = 8;

/** Version, channels, pre-skip, rate, gain, and the family of the mapping. */
const FAMILY_AT = 10;

/**
 * Reads an Opus header (RFC 7845, 5.1; "Encapsulation of Opus in ISO BMFF", 4.3.2). Undefined when it is
 * none.
 */
export function opusChannels(bytes: Uint8Array, form: "head" | "box"): OpusChannels | undefined {
  const header = form === "head" ? bytes.subarray(SIGNATURE_BYTES) : bytes;
  const channels = header[1] ?? 0;
  const family = header[FAMILY_AT];
  if (family === undefined || channels === 0) return undefined;
  if (family === 0) {
    if (channels > 2) return undefined;
    return { channels, streams: 1, coupled: channels - 1, isSelfDescribing: true };
  }
  const streams = header[FAMILY_AT + 1] ?? 0;
  const coupled = header[FAMILY_AT + 2] ?? 0;
  if (streams === 0 || coupled > streams) return undefined;
  return { channels, streams, coupled, isSelfDescribing: false };
}
