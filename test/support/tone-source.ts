import { join } from "node:path";
import { judgeFfmpeg } from "./judge-ffmpeg.ts";

/** One sound track of a source. */
export interface ToneTrack {
  /**
   * Of a sample at `t` seconds, such as `0.3*sin(2*PI*440*t)`: the same for each channel, or one for each
   * with `|` between them.
   */
  readonly expression: string;
  /** As ffmpeg calls it, such as `5.1`. */
  readonly layout: string;
  readonly rate: number;
  /** Options of its encoder, separated by spaces. */
  readonly codec: string;
  readonly seconds?: number;
  /** When it begins. */
  readonly fromSeconds?: number;
}

/** A source to make. */
export interface ToneSource {
  /** Its extension tells ffmpeg the container. */
  readonly fileName: string;
  readonly tracks: readonly ToneTrack[];
  /** Options of the pictures' encoder; no pictures without. */
  readonly pictures?: string;
  readonly seconds: number;
  /** Options of the muxer. */
  readonly muxer?: string;
}

/** Channels of a layout, by ffmpeg's names. */
export const LAYOUT_CHANNELS: Readonly<Record<string, number>> = {
  mono: 1,
  stereo: 2,
  "3.0": 3,
  "4.0": 4,
  quad: 4,
  "5.0": 5,
  "5.1": 6,
  "6.1": 7,
  "7.1": 8,
};

/** A source for ffmpeg's `lavfi`. */
export function toneInput(
  { expression, layout, rate }: Pick<ToneTrack, "expression" | "layout" | "rate">,
  seconds: number,
): string {
  const count = expression.includes("|") ? 1 : (LAYOUT_CHANNELS[layout] ?? 0);
  const channels = Array.from({ length: count }, () => expression);
  return `aevalsrc='${channels.join("|")}':s=${rate}:d=${seconds}:c=${layout}`;
}

/** Makes a source in a directory and gives its path. */
export async function makeToneSource(directory: string, source: ToneSource): Promise<string> {
  const { path: ffmpeg } = await judgeFfmpeg();
  const { tracks, pictures, seconds, muxer = "" } = source;
  const path = join(directory, `${crypto.randomUUID()}-${source.fileName}`);
  const inputs = tracks.flatMap((track) => [
    ...(track.fromSeconds === undefined ? [] : ["-itsoffset", String(track.fromSeconds)]),
    "-f",
    "lavfi",
    "-i",
    toneInput(track, track.seconds ?? seconds),
  ]);
  const maps = tracks.flatMap((_, i) => ["-map", `${i}:a`]);
  const codecs = tracks.flatMap(({ codec }, i) =>
    words(codec).map((word) => (word.startsWith("-") ? `${word}:a:${i}` : word)),
  );
  if (pictures !== undefined) {
    inputs.push("-f", "lavfi", "-i", `testsrc2=s=160x120:r=15:d=${seconds}`);
    maps.push("-map", `${tracks.length}:v`);
    codecs.push(...words(pictures));
  }
  const args = [...inputs, ...maps, ...codecs, ...words(muxer), "-strict", "-2", path];
  const made = Bun.spawnSync([ffmpeg, "-v", "error", ...args]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return path;
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}
