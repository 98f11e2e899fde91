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

const AAC_FRAME_SAMPLES = 1_024;
/** From hls.js, `src/remux/aac-helper.ts`, `getSilentFrame("mp4a.40.2", ...)`. */
const AAC_LC_SILENT_FRAMES: ReadonlyMap<number, readonly number[]> = new Map([
  [1, [0x00, 0xc8, 0x00, 0x80, 0x23, 0x80]],
  [2, [0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80]],
]);

/**
 * The silence of a sound in one channel or two, from the longest packet to the shortest, each a divisor
 * of the one before; none for more channels.
 *
 * @param codec where it is `aac`, AAC-LC
 */
export function silentPackets(codec: "opus" | "aac", channels: number): readonly SilentPacket[] {
  if (codec === "aac") {
    const frame = AAC_LC_SILENT_FRAMES.get(channels);
    return frame ? [{ bytes: Uint8Array.from(frame), samples: AAC_FRAME_SAMPLES }] : [];
  }
  if (channels < 1 || channels > 2) return [];
  const stereo = channels === 2 ? OPUS_STEREO : 0;
  return OPUS_FRAMES.map(({ toc, samples }) => ({
    bytes: Uint8Array.of(toc | stereo, ...OPUS_SILENT_FRAME),
    samples,
  }));
}
