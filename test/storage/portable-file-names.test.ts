import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { PortableFileNames, portableFileName } from "../../src/storage/portable-file-names.ts";

describe("a device of Windows is no name", () => {
  const devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
  const ports = ["COM", "LPT"].flatMap((port) =>
    Array.from("123456789¹²³", (digit) => port + digit),
  );
  test.each([...devices, ...ports])("%s", (device) => {
    for (const word of [device, device.toLowerCase(), ` ${device} `, `${device} .txt`]) {
      expect(portableFileName(word, "mp4")).toStartWith("_");
      expect(portableFileName(word, "")).toStartWith("_");
    }
    expect(portableFileName(`${device}x`, "mp4")).toBe(`${device}x.mp4`);
  });
});

test.each([
  ["spaces", `CON${" ".repeat(110)}x`],
  ["accents", `con e${"\u0301".repeat(110)}`],
])("what is left when %s are cut off is no device's name either", (_what, word) => {
  expect(portableFileName(word, "mp4").toLowerCase()).toBe("_con.mp4");
  expect(portableFileName(word, "").toLowerCase()).toBe("_con");
});

test.each([
  ["two cases", ["ada", "ADA"]],
  ["composed and decomposed accents", ["\u00e9", "e\u0301"]],
  ["a sharp s and two", ["straße", "STRASSE"]],
  ["the two small sigmas", ["Σίσυφος", "σίσυφοσ"]],
  ["a ligature and its letters", ["ﬁn", "fin"]],
  ["two presentations of a picture", ["☎", "☎\ufe0f"]],
  ["what the second one would be called", ["a", "a", "a (2)"]],
  ["what is cut off", ["x".repeat(200), "x".repeat(201)]],
])("names that differ by %s are told apart", (_what, words) => {
  const names = new PortableFileNames();
  const made = words.map((word) => names.add(word, "mp4"));
  expect(new Set(made.map((name) => name.normalize("NFKD").toUpperCase())).size).toBe(words.length);
  expect(made.join()).toContain(" (2).mp4");
});

test("a character that does not fit is left out whole", () => {
  const family = "👨\u{1f3fd}\u{fe0f}";
  expect(portableFileName("a".repeat(97) + family, "mp4")).toBe(`${"a".repeat(97)}.mp4`);
  const accents = `e${"\u0301".repeat(400)}`;
  expect(portableFileName(accents, "mp4").length).toBeGreaterThan(50);
});

test("whatever the words are, names are different and every system can hold them", () => {
  const word = fc.oneof(
    fc.string({ maxLength: 20, unit: "grapheme" }),
    fc.string({ maxLength: 300, unit: "binary" }),
    fc
      .array(
        fc.constantFrom("a", "A", ".", " ", "CON", "\u0301", "한", "ΐ", "👩\u{1f3fd}", "\ud800"),
        {
          maxLength: 150,
        },
      )
      .map((parts) => parts.join("")),
    fc.constantFrom("../..", "..", ".", "/etc", "C:\\x", "con", "aux.", "COM¹ .x", "a (2)"),
  );
  const extension = fc.constantFrom("", "mp4", "waveform");
  fc.assert(
    fc.property(fc.array(fc.tuple(word, extension), { maxLength: 30 }), (wanted) => {
      const names = new PortableFileNames();
      const made = wanted.map(([stem, ending]) => names.add(stem, ending));
      const folded = made.map((name) => name.normalize("NFD").toUpperCase());
      expect(new Set(folded).size).toBe(made.length);
      for (const name of made) {
        expect(name).toBe(name.toWellFormed());
        expect(name).not.toMatch(/[\p{Cc}\p{Cf}/\\:*?"<>|]|^[.\s]|[.\s]$/u);
        expect(name).not.toMatch(/^(con|prn|aux|nul|(com|lpt)[1-9¹²³])\s*(\.|$)/i);
        expect(Buffer.byteLength(name)).toBeWithin(1, 256);
        expect(name.normalize("NFD").length).toBeWithin(1, 256);
      }
    }),
    { numRuns: 300 },
  );
});
