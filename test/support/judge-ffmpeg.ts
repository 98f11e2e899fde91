import {
  resolveFfmpeg,
  systemFfmpegLookup,
  type FfmpegBinary,
} from "../../src/process/ffmpeg-binary.ts";

let choice: Promise<FfmpegBinary> | undefined;

/**
 * The ffmpeg that judges files: the one that the product would find in this environment. Searched
 * for, and named on stderr, at the first call.
 */
export function judgeFfmpeg(): Promise<FfmpegBinary> {
  choice ??= resolveFfmpeg(
    systemFfmpegLookup({ FFMPEG_PATH: process.env["FFMPEG_PATH"], PATH: process.env["PATH"] }),
  ).then((found) => {
    process.stderr.write(`ffmpeg: ${found.version} (${found.source}: ${found.path})\n`);
    return found;
  });
  return choice;
}

/** Keeps ffmpeg from doubling and dropping frames to make their rate even. */
export function passThroughOption({ abilities }: FfmpegBinary): readonly string[] {
  return [abilities.fpsMode ? "-fps_mode" : "-vsync", "passthrough"];
}

/** What a decoder wrote. */
export interface DecoderOutput {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** ffmpeg's own lines, from level `info` on. */
  readonly log: string;
}

/**
 * Decodes a file to raw bytes with the given options behind and before its input; throws with
 * ffmpeg's words when it meets any error.
 */
export async function decode(
  ffmpeg: FfmpegBinary,
  path: string,
  outputOptions: readonly string[],
  inputOptions: readonly string[] = [],
): Promise<DecoderOutput> {
  const strict = "-hide_banner -nostdin -nostats -loglevel info -xerror -err_detect explode";
  const input = [...inputOptions, "-i", path];
  const argv = [ffmpeg.path, ...strict.split(" "), ...input, ...outputOptions, "pipe:1"];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, log, exitCode] = await Promise.all([
    new Response(child.stdout).arrayBuffer(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (exitCode !== 0) throw new Error(`${path} does not decode (${exitCode}):\n${log}`);
  return { bytes: new Uint8Array(output), log };
}

/** Decodes all streams of a file and gives what ffmpeg has to complain about, line by line. */
export async function complaintsAbout(path: string): Promise<string[]> {
  const { path: ffmpeg, abilities } = await judgeFfmpeg();
  // What stands nearer together than a frame's usual time is no fault, only too fine for `null`.
  const rate = [abilities.fpsMode ? "-fps_mode" : "-vsync", "vfr"];
  // Builds of 2018 keep only 128 packets of sound until the first picture is decoded.
  const queue = ["-max_muxing_queue_size", "65536"];
  const output = ["-map", "0", ...rate, ...queue, "-f", "null", "-"];
  const argv = [ffmpeg, "-nostdin", "-v", "error", "-i", path, ...output];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  return (await child.exited) === 0 ? lines : [...lines, `ffmpeg ended with ${child.exitCode}`];
}
