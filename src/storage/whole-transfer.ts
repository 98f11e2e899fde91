import type { FileHandle } from "node:fs/promises";

/**
 * Reads `byteLength` bytes at `offsetBytes`; fewer only at the end of the file.
 *
 * @param buffer into which they are read, of that length
 */
export async function readAt(
  handle: FileHandle,
  offsetBytes: number,
  byteLength: number,
  buffer: Buffer = Buffer.allocUnsafe(byteLength),
): Promise<Buffer> {
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

/** Writes all buffers at `offsetBytes`; a short write is continued where it stopped. */
export async function writeFully(
  handle: FileHandle,
  buffers: readonly Uint8Array[],
  offsetBytes: number,
): Promise<void> {
  const byteLength = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  if (byteLength === 0) return;
  const { bytesWritten } = await handle.writev([...buffers], offsetBytes);
  if (bytesWritten === byteLength) return;
  const rest = Buffer.concat(buffers).subarray(bytesWritten);
  let written = 0;
  while (written < rest.length) {
    const result = await handle.write(
      rest,
      written,
      rest.length - written,
      offsetBytes + bytesWritten + written,
    );
    written += result.bytesWritten;
  }
}
