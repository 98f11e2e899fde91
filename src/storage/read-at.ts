import type { FileHandle } from "node:fs/promises";

/** Reads `byteLength` bytes at `offsetBytes`; fewer only at the end of the file. */
export async function readAt(
  handle: FileHandle,
  offsetBytes: number,
  byteLength: number,
): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(byteLength);
  let filled = 0;
  while (filled < byteLength) {
    const { bytesRead } = await handle.read(
      buffer,
      filled,
      byteLength - filled,
      offsetBytes + filled,
    );
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
