import type { FileHandle } from "node:fs/promises";
import { threadTurns } from "../recording/thread-turns.ts";

/**
 * Read at once: large enough for a disk that reads ahead, small enough for thousands of downloads, and
 * for a checksum of it to hold uploads up for a fraction of a millisecond only.
 */
const BLOCK_BYTES = 64 * 1024;

/** The first `byteLength` bytes of an open file in blocks. It does not close the file. */
export async function* fileBlocks(
  file: FileHandle,
  byteLength: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let offsetBytes = 0;
  while (offsetBytes < byteLength) {
    const block = new Uint8Array(Math.min(BLOCK_BYTES, byteLength - offsetBytes));
    const { bytesRead } = await file.read(block, 0, block.length, offsetBytes);
    if (bytesRead === 0) {
      throw new RangeError(`A file ended after ${offsetBytes} of ${byteLength} bytes`);
    }
    offsetBytes += bytesRead;
    // What is done with a block next takes the thread: a checksum, and copying it to the socket.
    await threadTurns.next();
    yield block.subarray(0, bytesRead);
  }
}

/**
 * A stream of `blocks` that reads on only when the client takes what there is. `release` is called
 * exactly once: at the end, after a failure, or when the client goes away.
 */
export function streamOf(
  blocks: AsyncIterator<Uint8Array>,
  release: () => Promise<void>,
): ReadableStream<Uint8Array> {
  let released: Promise<void> | undefined;
  const releaseOnce = () => (released ??= release());
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await blocks.next();
          if (done !== true) {
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          await releaseOnce();
          throw error;
        }
        await releaseOnce();
        controller.close();
      },
      cancel: releaseOnce,
    },
    // Not a block more than what is asked for.
    { highWaterMark: 0 },
  );
}
