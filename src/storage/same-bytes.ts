/** Read of each file at once: few calls for gigabytes, little memory. */
const BLOCK_BYTES = 1024 * 1024;

/**
 * Whether two files hold the same bytes; not, when one of them is not there.
 *
 * @throws the file system's errors, such as EIO
 */
export async function haveSameBytes(onePath: string, otherPath: string): Promise<boolean> {
  const one = Bun.file(onePath);
  const other = Bun.file(otherPath);
  if (!(await one.exists()) || !(await other.exists())) return false;
  if (one.size !== other.size) return false;
  for (let offsetBytes = 0; offsetBytes < one.size; offsetBytes += BLOCK_BYTES) {
    const endBytes = offsetBytes + BLOCK_BYTES;
    const [oneBlock, otherBlock] = await Promise.all([
      one.slice(offsetBytes, endBytes).bytes(),
      other.slice(offsetBytes, endBytes).bytes(),
    ]);
    if (Buffer.compare(oneBlock, otherBlock) !== 0) return false;
  }
  return true;
}
