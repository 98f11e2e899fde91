import { WAVEFORM_POINTS_MAX, type Waveform } from "../contract/waveform.ts";
import { inputArguments } from "./ffmpeg-arguments.ts";
import { type FfmpegContext, runPass } from "./ffmpeg-run.ts";

/** Lengths of a step that divide a second or are whole ones, in milliseconds. */
const STEPS_MS = [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 300_000];

/** Of the sound as it is measured. Each sample of a step that is left out could be its peak. */
const SAMPLES_PER_SECOND = 48_000;
const SAMPLES_PER_MS = SAMPLES_PER_SECOND / 1_000;

/** Three digits: finer than any screen draws. */
const DIGITS = 1_000;

/** The shortest step with which a track of this length has no more points than there may be. */
export function stepMsOf(durationMs: number): number {
  return (
    STEPS_MS.find((stepMs) => Math.ceil(durationMs / stepMs) <= WAVEFORM_POINTS_MAX) ??
    Math.ceil(durationMs / WAVEFORM_POINTS_MAX)
  );
}

/** Measures sound as it comes, 16-bit samples of one channel, in pieces of any length. */
export class WaveformMeter {
  readonly #stepMs: number;
  readonly #samplesPerStep: number;
  readonly #peaks: number[] = [];
  readonly #rms: number[] = [];
  #samples = 0;
  #peak = 0;
  #squares = 0;
  /** The first byte of a sample whose second one has not come. */
  #half: number | undefined;

  constructor(stepMs: number) {
    this.#stepMs = stepMs;
    this.#samplesPerStep = stepMs * SAMPLES_PER_MS;
  }

  add(bytes: Uint8Array): void {
    let at = 0;
    if (this.#half !== undefined && bytes.length > 0) {
      this.#measure((((bytes[0] ?? 0) << 24) >> 16) | this.#half);
      this.#half = undefined;
      at = 1;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = bytes.length - 1;
    for (; at < end; at += 2) this.#measure(view.getInt16(at, true));
    if (at === end) this.#half = bytes[at];
  }

  /** What was measured; a last step that is not full counts as far as it goes. */
  waveform(): Waveform {
    if (this.#samples > 0) this.#endStep();
    return {
      stepMs: this.#stepMs,
      peaks: this.#peaks.slice(0, WAVEFORM_POINTS_MAX),
      rms: this.#rms.slice(0, WAVEFORM_POINTS_MAX),
    };
  }

  #measure(sample: number): void {
    const amplitude = sample < 0 ? -sample : sample;
    if (amplitude > this.#peak) this.#peak = amplitude;
    this.#squares += sample * sample;
    this.#samples += 1;
    if (this.#samples === this.#samplesPerStep) this.#endStep();
  }

  #endStep(): void {
    this.#peaks.push(levelOf(this.#peak));
    this.#rms.push(levelOf(Math.sqrt(this.#squares / this.#samples)));
    this.#samples = 0;
    this.#peak = 0;
    this.#squares = 0;
  }
}

function levelOf(amplitude: number): number {
  return Math.min(1, Math.round((amplitude / 32_767) * DIGITS) / DIGITS);
}

/**
 * Measures the sound of an MP4. All of it is decoded, so this is the costly one of what is made beside
 * an MP4; memory does not grow with the length.
 *
 * @throws FfmpegFailedError, SubprocessTimeoutError, SubprocessNotStartedError, the signal's reason
 */
export async function measureWaveform(
  mediaPath: string,
  durationMs: number,
  context: FfmpegContext,
): Promise<Waveform> {
  const meter = new WaveformMeter(stepMsOf(durationMs));
  const args = [
    "-vn",
    "-threads",
    "1",
    "-seek_timestamp",
    "1",
    "-ss",
    "0",
    ...inputArguments("mp4", { path: mediaPath }),
    "-map",
    "0:a:0",
    // Sound that begins later than the MP4 does, and holes in it, take their time.
    "-af",
    `aresample=${SAMPLES_PER_SECOND}:async=1:first_pts=0`,
    "-ac",
    "1",
    "-c:a",
    "pcm_s16le",
    "-f",
    "s16le",
    "pipe:1",
  ];
  const onOutput = (bytes: Uint8Array): void => meter.add(bytes);
  await runPass({ args, mediaMs: durationMs, outputBytesMax: 0, onOutput }, context);
  return meter.waveform();
}
