import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

/** What a decoder makes of a file's first sound stream. */
export interface DecodedChannels {
  /** Each number of channels that a frame has. */
  readonly channels: readonly number[];
  readonly frames: number;
}

/** Decodes the first sound stream to its end; throws when the decoder meets any error. */
export async function decodedChannels(path: string): Promise<DecodedChannels> {
  const options = ["-map", "0:a:0", "-af", "ashowinfo", "-f", "s16le"];
  const { log } = await decode(await judgeFfmpeg(), path, options);
  const channels = Array.from(log.matchAll(/ channels:(\d+) /g), ([, count]) => Number(count));
  return { channels: [...new Set(channels)], frames: channels.length };
}
