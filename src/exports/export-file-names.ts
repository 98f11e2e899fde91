import { PortableFileNames } from "../storage/portable-file-names.ts";

/**
 * Code points that are kept of each of the app's words: names stay readable, and what the making of an
 * export puts behind them still fits into the 255 bytes that file systems allow.
 */
const WORD_LENGTH_MAX = 24;

/**
 * Names for the files of one export: letters and digits of the app's words, joined by dashes. Every
 * system can hold them, and none replaces another.
 */
export class ExportFileNames {
  readonly #names = new PortableFileNames((count) => `-${count}`);

  /** @param extension without its dot */
  add(words: readonly string[], extension: string): string {
    return this.#names.add(words.map(kept).filter(Boolean).join("-") || "file", extension);
  }
}

function kept(word: string): string {
  const dashed = word.normalize("NFC").replaceAll(/[^\p{L}\p{M}\p{N}_]+/gu, "-");
  return Array.from(dashed)
    .slice(0, WORD_LENGTH_MAX)
    .join("")
    .replaceAll(/^-+|-+$/g, "");
}
