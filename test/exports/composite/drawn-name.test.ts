import { expect, test } from "bun:test";
import { drawnName } from "../../../src/exports/composite/drawn-name.ts";
import { fontCharacters } from "../../../src/exports/composite/font-characters.ts";
import { findNamesFont } from "../../../src/exports/composite/names-font.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const font = await findNamesFont("");

test("DejaVu Sans has what it has", () => {
  for (const character of ["a", "ß", "Ж", "ع", "א", "😀", "\ufffd", "\u0301"]) {
    expect({ character, has: font.has(character.codePointAt(0) ?? 0) }).toMatchObject({
      has: true,
    });
  }
  for (const character of ["李", "さ", "👩", "💻", "🇩", "\u{10fffd}"]) {
    expect({ character, has: font.has(character.codePointAt(0) ?? 0) }).toMatchObject({
      has: false,
    });
  }
});

test("both tables of a font say the same of the first plane", async () => {
  const { path } = font;
  const bytes = Buffer.from(await Bun.file(path).bytes());
  // Without its full table, the one of format 4 is read.
  const tables = Array.from({ length: bytes.readUInt16BE(4) }, (_, i) => 12 + i * 16);
  const cmapEntry = tables.find((at) => bytes.toString("latin1", at, at + 4) === "cmap") ?? 0;
  const cmap = bytes.readUInt32BE(cmapEntry + 8);
  for (let i = 0; i < bytes.readUInt16BE(cmap + 2); i += 1) {
    const at = cmap + bytes.readUInt32BE(cmap + 8 + i * 8);
    if (bytes.readUInt16BE(at) === 12) bytes.writeUInt16BE(99, cmap + 4 + i * 8);
  }
  await using directory = await temporaryDirectory();
  const copy = `${directory.path}/small.ttf`;
  await Bun.write(copy, bytes);
  const small = await fontCharacters(copy);
  const differing = [];
  for (let codePoint = 0; codePoint < 0xffff; codePoint += 1) {
    if (small?.(codePoint) !== font.has(codePoint)) differing.push(codePoint);
  }
  expect(differing).toEqual([]);
  expect(small?.(0x1f600)).toBe(false);
});

test.each([
  ["Zoë Жанна עדי علي", "Zoë Жанна עדי علي", "nothing"],
  ["e\u0301 😀 ❤️", "e\u0301 😀 ❤", "nothing"],
  ["Ada 👩‍💻", "Ada", "emoji"],
  ["👩‍💻 Ada 👩‍💻 Lee", "Ada Lee", "emoji"],
  ["Ada 🇩🇪", "Ada DE", "emoji"],
  ["Room 1️⃣", "Room 1", "emoji"],
  ["Ada 👍🏽", "Ada", "emoji"],
  ["😀🏽", "😀", "emoji"],
  ["🏴󠁧󠁢󠁳󠁣󠁴󠁿 Ada", "Ada", "emoji"],
  ["👩‍💻👍🏽", "��", "emoji"],
  ["李明 Li", "�� Li", "letters"],
  ["नि", "�", "letters"],
])("of %p is drawn %p", (name, text, lacks) => {
  expect(drawnName(name, font.has)).toEqual({
    text,
    lacksLetters: lacks === "letters",
    lacksEmoji: lacks === "emoji",
  });
});

test("a font without the replacement character has a question mark in its place", () => {
  expect(drawnName("Ж 👩‍💻", (codePoint) => codePoint < 0x80).text).toBe("?");
});
