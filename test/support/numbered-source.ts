import { join } from "node:path";
import { judgeFfmpeg } from "./judge-ffmpeg.ts";
import { BARCODE_BITS } from "./media-judge.ts";

/** A track's MP4 to make: numbered pictures and a tone. */
export interface NumberedSource {
  readonly durationMs: number;
  /** Null for none. In pixels; 20 divides the width. */
  readonly picture: {
    readonly width: number;
    readonly height: number;
    /** Of the first picture. */
    readonly firstNumber: number;
    readonly codec: "h264" | "vp9";
    /** Milliseconds between two pictures. */
    readonly stepMs: number;
  } | null;
  /** Null for none. Its amplitude is an eighth of full scale, ffmpeg's own for a sine. */
  readonly toneHz: number | null;
  /** By which the tone is louder. */
  readonly volume?: number;
  readonly channels?: 1 | 2;
}

/** Pictures between two keyframes: more than a second, so that most scenes begin between two. */
const KEYFRAME_DISTANCE = 40;

/** Makes the MP4 and gives its path. The barcode is the one of `test/fixtures/media/README.md`. */
export async function numberedSource(
  directory: string,
  name: string,
  source: NumberedSource,
): Promise<string> {
  const ffmpeg = await judgeFfmpeg();
  const path = join(directory, `${name}.mp4`);
  const { picture, toneHz, durationMs } = source;
  const seconds = String(durationMs / 1_000);
  const args = [ffmpeg.path, "-v", "error"];
  if (picture !== null) {
    const rate = `1000/${picture.stepMs}`;
    args.push("-f", "rawvideo", "-pix_fmt", "gray", "-s", `${BARCODE_BITS}x3`, "-r", rate);
    args.push("-i", "pipe:0");
  }
  if (toneHz !== null) {
    args.push("-f", "lavfi", "-i", `sine=frequency=${toneHz}:sample_rate=48000`);
  }
  if (picture !== null) {
    args.push("-map", "0:v", "-vf", `scale=${picture.width}:${picture.height}:flags=neighbor`);
    args.push("-pix_fmt", "yuv420p", "-g", String(KEYFRAME_DISTANCE), "-bf", "0");
    args.push(
      ...(picture.codec === "h264"
        ? ["-c:v", "libx264", "-preset", "ultrafast"]
        : ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k"]),
    );
  }
  if (toneHz !== null) {
    args.push("-map", picture === null ? "0:a" : "1:a", "-c:a", "libopus", "-b:a", "96k");
    // ffmpeg's own way from one channel to two is 3 dB softer.
    const channels = (source.channels ?? 2) === 1 ? "mono|c0=c0" : "stereo|c0=c0|c1=c0";
    args.push("-af", `pan=${channels},volume=${source.volume ?? 1}`);
  }
  args.push("-t", seconds, "-strict", "-2", "-y", path);
  const child = Bun.spawn(args, {
    stdin: picture === null ? "ignore" : pictures(picture, durationMs),
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(stderr);
  return path;
}

/** Three rows of a pixel for each bit: the first is the barcode, the others are grey. */
function pictures(
  { firstNumber, stepMs }: NonNullable<NumberedSource["picture"]>,
  durationMs: number,
): Blob {
  const count = Math.round(durationMs / stepMs);
  const frames = new Uint8Array(count * BARCODE_BITS * 3).fill(128);
  for (let i = 0; i < count; i += 1) {
    for (let bit = 0; bit < BARCODE_BITS; bit += 1) {
      const isSet = ((firstNumber + i) >>> bit) & 1;
      frames[i * BARCODE_BITS * 3 + bit] = isSet === 1 ? 235 : 16;
    }
  }
  return new Blob([frames]);
}
