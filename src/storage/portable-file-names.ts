/**
 * Longest name of a file or folder. ext4, XFS, ZFS and APFS count bytes of UTF-8; NTFS, exFAT and HFS+
 * count UTF-16 units, the last of decomposed text.
 */
const NAME_LENGTH_MAX = 255;

/**
 * Longest name without its extension, in UTF-16 units. Windows' own tools take 260 units for a whole
 * path: a folder and a file of this length leave 50 for where an archive is unpacked.
 */
const STEM_UNITS_MAX = 100;

/**
 * What stands for a character that a name cannot have: the separators and wildcards of Windows and Unix;
 * control characters, and marks that turn the direction of writing and so hide an extension; private
 * ones, in which shares of macOS disguise the forbidden ones; unassigned ones, which APFS refuses.
 */
const FORBIDDEN = /[\p{C}\p{Zl}\p{Zp}/\\:*?"<>|]+/gu;

/** Windows drops dots and spaces at an end; a dot at the beginning hides a file, or is `..`. */
const DOTS_AND_SPACES_AT_ENDS = /^[.\s]+|[.\s]+$/g;

/**
 * Names of devices, whatever follows the first dot ("Naming Files, Paths, and Namespaces" of Windows:
 * superscript digits count as digits).
 */
const DEVICE = /^(?:CON|PRN|AUX|NUL|CLOCK\$|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³])\s*(?:\.|$)/i;

/** What of a text can be in the name of a file on every system; empty when nothing of it can. */
export function portableText(text: string): string {
  return text.normalize("NFC").replaceAll(FORBIDDEN, "_").replaceAll(DOTS_AND_SPACES_AT_ENDS, "");
}

/**
 * A name that every common file system can hold and every system can open: of one path part, at most
 * 255 bytes of UTF-8 and 255 UTF-16 units, never a device's name, `.` or `..`.
 *
 * @param extension without its dot; empty for a folder
 * @param suffix kept whole behind a stem that is cut: ` (2)`
 */
export function portableFileName(stem: string, extension: string, suffix = ""): string {
  const ending = extension === "" ? suffix : `${suffix}.${extension}`;
  const fitting = (text: string) =>
    cut(text, NAME_LENGTH_MAX - Buffer.byteLength(ending)).replaceAll(DOTS_AND_SPACES_AT_ENDS, "");
  const cutText = fitting(portableText(stem));
  // Only now: what is cut off may be all that kept `CON   ...x` from being a device's name.
  const short = DEVICE.test(cutText) ? fitting(`_${cutText}`) : cutText;
  return `${short === "" ? "_" : short}${ending}`;
}

/**
 * Names for the files or folders of one folder, each different from the others for every file system:
 * also for those that ignore case or compare normalised text.
 */
export class PortableFileNames {
  readonly #suffixOf: (count: number) => string;
  readonly #taken = new Set<string>();
  /** By name without a suffix: the count of the one that was given last. */
  readonly #counts = new Map<string, number>();

  /** @param suffixOf tells the second and the following of a name apart */
  constructor(suffixOf: (count: number) => string = (count) => ` (${count})`) {
    this.#suffixOf = suffixOf;
  }

  /** @param extension without its dot; empty for a folder */
  add(stem: string, extension: string): string {
    const first = fold(portableFileName(stem, extension));
    for (let count = (this.#counts.get(first) ?? 0) + 1; ; count += 1) {
      const suffix = count === 1 ? "" : this.#suffixOf(count);
      const name = portableFileName(stem, extension, suffix);
      const folded = fold(name);
      if (this.#taken.has(folded)) continue;
      this.#taken.add(folded);
      this.#counts.set(first, count);
      return name;
    }
  }
}

/**
 * Equal for names that some file system takes for the same. Upper case first: `ß` and `SS` are one to
 * APFS. Characters that are ignored, such as variation selectors, do not count for ext4's casefold.
 */
function fold(name: string): string {
  return name
    .normalize("NFKD")
    .toUpperCase()
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(/\p{Default_Ignorable_Code_Point}/gu, "");
}

/** The longest beginning that fits, in whole characters as people see them. */
function cut(text: string, lengthMax: number): string {
  const fits = (part: string) =>
    part.length <= STEM_UNITS_MAX &&
    Buffer.byteLength(part) <= lengthMax &&
    part.normalize("NFD").length <= lengthMax;
  if (fits(text)) return text;
  const graphemes = Array.from(
    new Intl.Segmenter("und", { granularity: "grapheme" }).segment(text),
    ({ segment }) => segment,
  );
  // One character with hundreds of accents is cut within, too.
  return longestFitting(graphemes, fits) || longestFitting(Array.from(text), fits);
}

function longestFitting(parts: readonly string[], fits: (text: string) => boolean): string {
  let kept = "";
  for (const part of parts) {
    if (!fits(kept + part)) break;
    kept += part;
  }
  return kept;
}
