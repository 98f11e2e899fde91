import { decode, judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";

/**
 * The sizes of all pictures of a file, such as `640x360`, where each differs from the one before.
 * Throws when the decoder meets any error.
 */
export async function decodedSizes(path: string): Promise<string[]> {
  const ffmpeg = await judgeFfmpeg();
  const filters = ["-map", "0:v:0", "-vf", "showinfo,scale=16:16", "-f", "rawvideo"];
  const { log } = await decode(ffmpeg, path, [...passThroughOption(ffmpeg), ...filters]);
  const sizes = [...log.matchAll(/ pts_time:.* s:(\d+x\d+) /g)].map(([, size]) => size ?? "");
  return sizes.filter((size, i) => size !== sizes[i - 1]);
}
