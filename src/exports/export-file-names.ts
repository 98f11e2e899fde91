/**
 * Code points that are kept of each of the app's words. Two words of four bytes a character and what
 * joins them fit into the 255 bytes that file systems allow.
 */
const WORD_LENGTH_MAX = 24;

/**
 * Names for the files of one export: letters and digits of the app's words, joined by dashes, unique
 * also where a file system ignores case.
 */
export class ExportFileNames {
  readonly #taken = new Set<string>();

  /** @param extension without its dot */
  add(words: readonly string[], extension: string): string {
    const stem = words.map(kept).filter(Boolean).join("-") || "file";
    for (let number = 1; ; number += 1) {
      const name = `${number === 1 ? stem : `${stem}-${number}`}.${extension}`;
      const folded = name.toLowerCase();
      if (this.#taken.has(folded)) continue;
      this.#taken.add(folded);
      return name;
    }
  }
}

function kept(word: string): string {
  const dashed = word.normalize("NFC").replaceAll(/[^\p{L}\p{N}_]+/gu, "-");
  return Array.from(dashed)
    .slice(0, WORD_LENGTH_MAX)
    .join("")
    .replaceAll(/^-+|-+$/g, "");
}
