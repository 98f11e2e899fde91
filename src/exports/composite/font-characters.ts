import { open } from "node:fs/promises";
import { readAt } from "../../storage/whole-transfer.ts";

/** Whether a font has a glyph for a code point. */
export type FontCharacters = (codePoint: number) => boolean;

/** More than any font has: a larger table is not read. */
const TABLE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads which characters a font has, of a collection its first one, which is the one that ffmpeg draws
 * with (OpenType, "cmap": the formats 4 and 12, which all fonts of today have).
 *
 * @returns undefined when the font does not say it in a way that is understood here
 * @throws file system errors; RangeError when the file ends too early
 */
export async function fontCharacters(path: string): Promise<FontCharacters | undefined> {
  const file = await open(path, "r");
  try {
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const bytes = await readAt(file, offset, length);
      if (bytes.length < length) throw new RangeError("it is cut off");
      return bytes;
    };
    const isCollection = (await read(0, 4)).toString("latin1") === "ttcf";
    const fontAt = isCollection ? (await read(12, 4)).readUInt32BE() : 0;
    const tables = await read(fontAt + 12, (await read(fontAt + 4, 2)).readUInt16BE() * 16);
    for (let at = 0; at < tables.length; at += 16) {
      if (tables.toString("latin1", at, at + 4) !== "cmap") continue;
      const length = tables.readUInt32BE(at + 12);
      if (length > TABLE_BYTES_MAX) return undefined;
      return charactersOf(await read(tables.readUInt32BE(at + 8), length));
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/** Of the encodings of Unicode, the one with the most planes. */
function charactersOf(cmap: Buffer): FontCharacters | undefined {
  let found: FontCharacters | undefined;
  for (let i = 0; i < cmap.readUInt16BE(2); i += 1) {
    const platform = cmap.readUInt16BE(4 + i * 8);
    const encoding = cmap.readUInt16BE(6 + i * 8);
    if (platform !== 0 && !(platform === 3 && (encoding === 1 || encoding === 10))) continue;
    const table = cmap.subarray(cmap.readUInt32BE(8 + i * 8));
    const format = table.readUInt16BE(0);
    if (format === 12) return (codePoint) => isInGroups(table, codePoint);
    if (format === 4) found = (codePoint) => isInSegments(table, codePoint);
  }
  return found;
}

/** Format 12: groups of consecutive characters. */
function isInGroups(table: Buffer, codePoint: number): boolean {
  const groups = table.readUInt32BE(12);
  for (let at = 16; at < 16 + groups * 12; at += 12) {
    if (table.readUInt32BE(at + 4) < codePoint) continue;
    return table.readUInt32BE(at) <= codePoint;
  }
  return false;
}

/** Format 4: segments of the first plane, whose glyphs are counted on or looked up. */
function isInSegments(table: Buffer, codePoint: number): boolean {
  if (codePoint > 0xffff) return false;
  const bytes = table.readUInt16BE(6);
  for (let at = 0; at < bytes; at += 2) {
    if (table.readUInt16BE(14 + at) < codePoint) continue;
    const start = table.readUInt16BE(16 + bytes + at);
    if (start > codePoint) return false;
    const delta = table.readUInt16BE(16 + 2 * bytes + at);
    const rangeAt = 16 + 3 * bytes + at;
    const range = table.readUInt16BE(rangeAt);
    if (range === 0) return ((codePoint + delta) & 0xffff) !== 0;
    const glyphAt = rangeAt + range + 2 * (codePoint - start);
    return glyphAt + 2 <= table.length && table.readUInt16BE(glyphAt) !== 0;
  }
  return false;
}
