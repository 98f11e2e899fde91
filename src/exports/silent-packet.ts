/** A packet of silence, to be written behind sound of its codec. */
export interface SilentPacket {
  readonly data: Uint8Array;
  readonly durationMs: number;
}

/**
 * An Opus packet of one 20 ms CELT frame, in mono or stereo, that decodes to silence (RFC 6716, 3.1:
 * the first byte tells all; this is what WebRTC sends for muted sound).
 */
const OPUS_MONO = Uint8Array.of(0xf8, 0xff, 0xfe);
const OPUS_STEREO = Uint8Array.of(0xfc, 0xff, 0xfe);
const OPUS_FRAME_MS = 20;

/** Frames of AAC-LC whose spectrum is empty: a single channel element, and a pair with common window. */
const AAC_MONO = Uint8Array.of(0x00, 0xc8, 0x00, 0x80, 0x23, 0x80);
const AAC_STEREO = Uint8Array.of(0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80);
const AAC_FRAME_SAMPLES = 1_024;

/** The silence of a codec (mediabunny's name); undefined where none is known. */
export function silentPacket(
  codec: string | null,
  channels: number,
  sampleRate: number,
): SilentPacket | undefined {
  if (channels < 1 || channels > 2) return undefined;
  const isMono = channels === 1;
  if (codec === "opus") {
    return { data: isMono ? OPUS_MONO : OPUS_STEREO, durationMs: OPUS_FRAME_MS };
  }
  if (codec === "aac") {
    const durationMs = (AAC_FRAME_SAMPLES / sampleRate) * 1_000;
    return { data: isMono ? AAC_MONO : AAC_STEREO, durationMs };
  }
  return undefined;
}
