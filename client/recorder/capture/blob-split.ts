/**
 * Cuts a blob into pieces of at most `bytesMax`, in order; together they are the blob. One piece,
 * the blob itself, when it is small enough or empty. After a computer's sleep a recorder can hand
 * over minutes in a single blob of 50 MB (mdn/content#36187).
 */
export function splitBlob(blob: Blob, bytesMax: number): readonly Blob[] {
  if (blob.size <= bytesMax) return [blob];
  const pieces: Blob[] = [];
  for (let offsetBytes = 0; offsetBytes < blob.size; offsetBytes += bytesMax) {
    pieces.push(blob.slice(offsetBytes, offsetBytes + bytesMax, blob.type));
  }
  return pieces;
}
