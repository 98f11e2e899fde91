import type { SourceStream } from "./source-stream.ts";

/** One of the sounds that are mixed. */
interface MixedSound {
  readonly sound: SourceStream;
  /** When it begins, in milliseconds after the input does. */
  readonly fromMs: number;
}

/** Samples in a second of what comes out. */
const SAMPLES_PER_SECOND = 48_000;

const LAYOUTS: Readonly<Record<number, string>> = { 6: "5.1", 8: "7.1" };

/** Holes in a sound become silence; shorter ones are noise of its clock. */
const HOLE_SECONDS_MIN = 0.04;

/**
 * `amix` divides by the number of its inputs and, as they end, by that of the others; old builds cannot be
 * told not to. So slowly that the number stays, and is multiplied away.
 */
const DROPOUT_SECONDS = 100_000_000;

/**
 * A graph for ffmpeg that adds sounds up, each at its own level and its time from the input's begin on; a
 * limiter keeps their sum from clipping. Gives `[sound]`.
 *
 * @param channels 2, 6 or 8
 * @param input ffmpeg's number of the input of the first of them; each has its own
 */
export function soundMixGraph(
  sounds: readonly MixedSound[],
  channels: number,
  input: number,
): string {
  const layout = LAYOUTS[channels] ?? "stereo";
  const format = `aformat=sample_fmts=fltp:sample_rates=${SAMPLES_PER_SECOND}:channel_layouts=${layout}`;
  const chains = sounds.flatMap(({ sound, fromMs }, i) => {
    // swresample would take 3 dB from one channel that it spreads over two.
    const spread = sound.channels === 1 && layout === "stereo" ? "pan=stereo|c0=c0|c1=c0," : "";
    const samples = Math.round((Math.max(0, fromMs) * SAMPLES_PER_SECOND) / 1_000);
    const own =
      `[${input + i}:a:${sound.position ?? 0}]${spread}asetpts=PTS-(${(fromMs / 1_000).toFixed(6)})/TB,` +
      `aresample=${SAMPLES_PER_SECOND}:async=1:min_hard_comp=${HOLE_SECONDS_MIN}:first_pts=0,${format}`;
    if (samples === 0) return [`${own}[mixed${i}]`];
    return [
      // Silence of its own, not of `aresample`, which would hold all of it in memory.
      `anullsrc=r=${SAMPLES_PER_SECOND}:cl=${layout},${format},atrim=end_sample=${samples}[before${i}]`,
      `${own}[own${i}]`,
      `[before${i}][own${i}]concat=n=2:v=0:a=1[mixed${i}]`,
    ];
  });
  const labels = sounds.map((_, i) => `[mixed${i}]`).join("");
  return [
    ...chains,
    `${labels}amix=inputs=${sounds.length}:duration=longest:dropout_transition=${DROPOUT_SECONDS},` +
      `volume=${sounds.length}:precision=float,alimiter=limit=0.98:attack=1:level=0,` +
      "asetpts=N/SR/TB[sound]",
  ].join(";");
}
