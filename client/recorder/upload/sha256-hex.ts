/**
 * SHA-256 of a blob, hexadecimal. Null where the browser has no `crypto.subtle`: on pages that came
 * by plain HTTP from anywhere but localhost. Rejects when the blob cannot be read.
 */
export async function sha256Hex(blob: Blob): Promise<string | null> {
  // The DOM's types know only secure contexts.
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (subtle === undefined) return null;
  const digest = await subtle.digest("SHA-256", await blob.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
