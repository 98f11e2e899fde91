import { open } from "node:fs/promises";
import { boxesIn, descend } from "./mp4-boxes.ts";
import { readMoov } from "./mp4-index.ts";
import {
  FIXED_ONE,
  MATRIX_BYTES,
  displayOfMatrix,
  matrixAt,
  matrixIn,
  matrixOf,
} from "./mp4-orientation.ts";
import { type PictureDisplay, isSameDisplay } from "./picture-display.ts";

/**
 * Has the pictures of an MP4 shown like that, whatever its muxer made of the source's word: builds of
 * ffmpeg differ in what they carry over when they copy, and keep a turn that they have just made when
 * they encode. Only the header of the track is changed, in place; a file that has no whole index, or
 * shows them like that already, is left as it is.
 *
 * @throws file system errors
 */
export async function setOrientation(
  path: string,
  { rotation = 0, isMirrored = false }: PictureDisplay,
): Promise<void> {
  const turn = { rotation, isMirrored };
  const handle = await open(path, "r+");
  try {
    const { size } = await handle.stat();
    const found = await readMoov(handle, size);
    if (found === undefined) return;
    for (const trak of boxesIn(found.bytes).get("trak") ?? []) {
      if (descend(trak, "mdia", "hdlr").toString("latin1", 8, 12) !== "vide") continue;
      const tkhd = descend(trak, "tkhd");
      const at = matrixAt(tkhd);
      if (at === undefined || isSameDisplay(displayOfMatrix(matrixIn(tkhd)), turn)) continue;
      // The track's area is in square pixels already.
      const stored = {
        width: tkhd.readUInt32BE(at + MATRIX_BYTES) / FIXED_ONE,
        height: tkhd.readUInt32BE(at + MATRIX_BYTES + 4) / FIXED_ONE,
      };
      const bytes = Buffer.alloc(MATRIX_BYTES);
      for (const [i, value] of matrixOf(turn, stored).entries()) bytes.writeInt32BE(value, 4 * i);
      const offset = tkhd.byteOffset - found.bytes.byteOffset + at;
      await handle.write(bytes, 0, bytes.length, found.moov.from + offset);
    }
  } finally {
    await handle.close();
  }
}
