/** Longest file name that is offered, in characters without the extension. */
const STEM_LENGTH_MAX = 100;

/**
 * A file name of the app's own words, safe on every file system: no separators, no control
 * characters, none of the characters that Windows refuses, no dot or space at an end.
 */
export function safeFileName(words: readonly string[], extension: string): string {
  const stem = words
    .map(safeWord)
    .filter((word) => word !== "")
    .join(" - ");
  // By code points: half of a surrogate pair would be no character.
  const short = Array.from(stem).slice(0, STEM_LENGTH_MAX).join("").trim();
  return `${short === "" ? "recording" : short}.${extension}`;
}

/** One of the app's own words as a part of a file name; empty when nothing of it can be kept. */
export function safeWord(word: string): string {
  return (
    word
      // Cf too: marks that turn the direction of writing can hide an extension.
      .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}/\\:*?"<>|]+/gu, "_")
      .replaceAll(/^[.\s]+|[.\s]+$/g, "")
  );
}

/**
 * A Content-Disposition header with a name for old clients (ASCII) and one for all others (UTF-8),
 * as RFC 6266, appendix D, advises.
 */
export function contentDisposition(kind: "inline" | "attachment", fileName: string): string {
  const ascii = fileName.replaceAll(/[^ -~]+/g, "_").replaceAll(/["\\%]/g, "_");
  if (ascii === fileName) return `${kind}; filename="${ascii}"`;
  // encodeURIComponent leaves five characters that RFC 8187's attr-char does not have.
  const encoded = encodeURIComponent(fileName).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
