import { decode, judgeFfmpeg, passThroughOption } from "../support/judge-ffmpeg.ts";
import { BARCODE_BITS } from "../support/media-judge.ts";

const BRIGHT = 128;

/**
 * The numbers of the first pictures of a file, in order of presentation. Beside `decodeFrameNumbers`
 * this reads no further: behind a hole pictures may lack what they are made from.
 */
export async function firstFrameNumbers(path: string, count: number): Promise<number[]> {
  const ffmpeg = await judgeFfmpeg();
  const { bytes } = await decode(ffmpeg, path, [
    "-map",
    "0:v:0",
    "-frames:v",
    String(count),
    "-vf",
    `crop=iw:ih/3:0:0,scale=${BARCODE_BITS}:1:flags=area,format=gray`,
    ...passThroughOption(ffmpeg),
    "-f",
    "rawvideo",
  ]);
  return Array.from({ length: bytes.length / BARCODE_BITS }, (_, i) => {
    const columns = bytes.subarray(i * BARCODE_BITS, (i + 1) * BARCODE_BITS);
    return columns.reduce((sum, value, bit) => sum + (value > BRIGHT ? 2 ** bit : 0), 0);
  });
}
