import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "../../recording/errors.ts";
import { type FontCharacters, fontCharacters } from "./font-characters.ts";
import { SystemFonts } from "./system-fonts.ts";

/** The font in which composites write names. */
export interface NamesFont {
  readonly path: string;
  /** Whether it can draw a character; of fonts that do not say so, all count as drawn. */
  readonly has: FontCharacters;
  /** Where names are drawn from whose letters it lacks. */
  readonly others: Pick<SystemFonts, "having">;
}

/** NAMES_FONT_PATH is set, but no font is there: it would fail every composite. */
export class NamesFontUnusableError extends AppError {
  readonly code = "internal";
  constructor(path: string, failure: string) {
    super(
      `NAMES_FONT_PATH is ${JSON.stringify(path)}, but that is no font: ${failure}. ` +
        "Set it to the path of a TTF, OTF or TTC file, or unset it.",
    );
  }
}

/** How files of fonts begin: TrueType, Apple's, OpenType with CFF, collections (ISO/IEC 14496-22, 4). */
const SIGNATURES: ReadonlySet<string> = new Set(["\0\x01\0\0", "true", "OTTO", "ttcf"]);

/**
 * The font at a path; with an empty one DejaVu Sans of a package, so that names look alike on every
 * machine, also on one without fonts.
 *
 * @param others the machine's fonts, for names whose letters it lacks
 * @throws NamesFontUnusableError
 */
export async function findNamesFont(
  path: string,
  others: NamesFont["others"] = new SystemFonts(),
): Promise<NamesFont> {
  if (path === "") {
    const own = fileURLToPath(import.meta.resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf"));
    return { path: own, has: await charactersOf(own), others };
  }
  let begin: Uint8Array;
  try {
    begin = await Bun.file(path).slice(0, 4).bytes();
  } catch (error) {
    throw new NamesFontUnusableError(path, error instanceof Error ? error.message : String(error));
  }
  if (!SIGNATURES.has(Buffer.from(begin).toString("latin1"))) {
    throw new NamesFontUnusableError(path, "it begins with something else");
  }
  return { path: resolve(path), has: await charactersOf(path), others };
}

async function charactersOf(path: string): Promise<FontCharacters> {
  try {
    return (await fontCharacters(path)) ?? (() => true);
  } catch (error) {
    throw new NamesFontUnusableError(path, error instanceof Error ? error.message : String(error));
  }
}
