import type { FontCharacters } from "./font-characters.ts";

/** A name as ffmpeg can draw it, which draws each code point by itself and in one colour. */
export interface DrawnName {
  readonly text: string;
  /** Whether letters or signs stand in it in place of others that the font does not have. */
  readonly lacksLetters: boolean;
  /** Whether emoji are left out, or drawn as something simpler. */
  readonly lacksEmoji: boolean;
}

const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

/** Chooses between forms of the character before it, and has no form of its own. */
const VARIATION_SELECTORS = /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;

const EMOJI = /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u;

/** What several code points together make one emoji of (UTS #51, 1.4.5 to 1.4.9). */
const EMOJI_SEQUENCE =
  /\p{Regional_Indicator}|\p{Extended_Pictographic}\ufe0f?(?:\u200d|\p{Emoji_Modifier}|[\u{e0020}-\u{e007f}])|\u20e3/u;

const REGIONAL_INDICATOR_A = 0x1f1e6;

/**
 * What is drawn of a name. Of an emoji of several code points, its first one, and of a flag the letters
 * of its country; an emoji that the font does not have is left out, and each other character that it
 * does not have becomes one replacement character. Never empty. Pure.
 */
export function drawnName(name: string, has: FontCharacters): DrawnName {
  const replacement = has(0xfffd) ? "\ufffd" : "?";
  const all = Array.from(graphemes.segment(name), ({ segment }) => segment);
  let text = "";
  let lacksLetters = false;
  let lacksEmoji = false;
  for (const grapheme of all) {
    const plain = grapheme.replace(VARIATION_SELECTORS, "");
    const isSequence = EMOJI_SEQUENCE.test(grapheme);
    if (!isSequence && isDrawn(plain, has)) {
      text += plain;
    } else if (isSequence || EMOJI.test(plain)) {
      lacksEmoji = true;
      const simpler = simplerEmoji(plain);
      if (isDrawn(simpler, has)) text += simpler;
    } else {
      lacksLetters = true;
      text += replacement;
    }
  }
  if (lacksEmoji) text = text.replace(/\s+/g, " ").trim();
  return { text: text === "" ? replacement.repeat(all.length) : text, lacksLetters, lacksEmoji };
}

function isDrawn(text: string, has: FontCharacters): boolean {
  return Array.from(text).every((character) => has(character.codePointAt(0) ?? 0));
}

function simplerEmoji(sequence: string): string {
  const [first = ""] = sequence;
  if (!/^\p{Regional_Indicator}/u.test(sequence)) return first;
  return Array.from(sequence, (indicator) =>
    String.fromCodePoint(65 + (indicator.codePointAt(0) ?? 0) - REGIONAL_INDICATOR_A),
  ).join("");
}
