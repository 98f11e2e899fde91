/** A packet of silence, to be put beside sound of its codec. */
export interface SilentPacket {
  readonly data: Uint8Array;
  readonly durationMs: number;
}

/**
 * What the range coder makes of a CELT frame whose first flag says that it is silent (RFC 6716, 4.3),
 * whatever its length and channels; WebRTC sends the same for muted sound.
 */
const OPUS_SILENT_FRAME = [0xff, 0xfe] as const;

/** First bytes of a packet that holds one frame of fullband CELT (RFC 6716, 3.1). */
const OPUS_FRAMES = [
  { toc: 31 << 3, durationMs: 20 },
  { toc: 30 << 3, durationMs: 10 },
  { toc: 29 << 3, durationMs: 5 },
  { toc: 28 << 3, durationMs: 2.5 },
] as const;
const OPUS_STEREO = 0x04;

/** Frames of AAC-LC without a spectrum (hls.js, `src/remux/aac-helper.ts`). */
const AAC_MONO = Uint8Array.of(0x00, 0xc8, 0x00, 0x80, 0x23, 0x80);
const AAC_STEREO = Uint8Array.of(0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80);
const AAC_FRAME_SAMPLES = 1_024;

/**
 * The silence of a codec (mediabunny's name), from the longest packet to the shortest; none where none
 * is known.
 */
export function silentPackets(
  codec: string | null,
  channels: number,
  sampleRate: number,
): readonly SilentPacket[] {
  if (channels < 1 || channels > 2) return [];
  const isMono = channels === 1;
  if (codec === "opus") {
    const stereo = isMono ? 0 : OPUS_STEREO;
    return OPUS_FRAMES.map(({ toc, durationMs }) => ({
      data: Uint8Array.of(toc | stereo, ...OPUS_SILENT_FRAME),
      durationMs,
    }));
  }
  if (codec === "aac") {
    const durationMs = (AAC_FRAME_SAMPLES / sampleRate) * 1_000;
    return [{ data: isMono ? AAC_MONO : AAC_STEREO, durationMs }];
  }
  return [];
}
