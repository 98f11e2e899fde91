import { type DrawnName, drawnName } from "./drawn-name.ts";
import type { NamesFont } from "./names-font.ts";
import type { FontFace } from "./system-fonts.ts";

/** A name as it is drawn, and with which font. */
export interface NameInFont {
  readonly drawn: DrawnName;
  readonly fontPath: string;
}

/** Spaces and what changes the character before it: fonts need no glyphs of them. */
const NO_GLYPHS = /\s|\p{Default_Ignorable_Code_Point}/u;

/**
 * Chooses the font of a name: the composites' own where that has all of it, else of the machine's the
 * one that has most. A name is drawn in one font.
 *
 * @throws the signal's reason
 */
export async function nameInFont(
  name: string,
  font: NamesFont,
  signal: AbortSignal,
): Promise<NameInFont> {
  const drawn = drawnName(name, font.has);
  const own = { drawn, fontPath: font.path };
  if (!drawn.lacksLetters && !drawn.lacksEmoji) return own;
  const codePoints = Array.from(name)
    .filter((character) => !NO_GLYPHS.test(character))
    .map((character) => character.codePointAt(0) ?? 0);
  const lacking = codePoints.filter((codePoint) => !font.has(codePoint));
  const countIn = ({ has }: Pick<FontFace, "has">): number => codePoints.filter(has).length;
  let best: { readonly face: FontFace; readonly count: number } | undefined;
  for (const face of await font.others.having(lacking, signal)) {
    const count = countIn(face);
    if (count > (best?.count ?? countIn(font))) best = { face, count };
  }
  if (best === undefined) return own;
  const { path, has } = best.face;
  return { drawn: drawnName(name, has), fontPath: path };
}
