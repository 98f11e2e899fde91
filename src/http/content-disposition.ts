import { portableFileName, portableText } from "../storage/portable-file-names.ts";

/** A file name of the app's own words that every system can save. */
export function safeFileName(words: readonly string[], extension: string): string {
  const stem = words
    .map(portableText)
    .filter((word) => word !== "")
    .join(" - ");
  return portableFileName(stem === "" ? "recording" : stem, extension);
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
