import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canvasOf, planLayout } from "../../../src/exports/composite/layout-plan.ts";
import { nameInFont } from "../../../src/exports/composite/name-font.ts";
import { type NamesFont, findNamesFont } from "../../../src/exports/composite/names-font.ts";
import { type FontFace, SystemFonts } from "../../../src/exports/composite/system-fonts.ts";
import type { FfmpegBinary } from "../../../src/process/ffmpeg-binary.ts";
import { judgeFfmpeg } from "../../support/judge-ffmpeg.ts";
import { numberedSource } from "../../support/numbered-source.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { compositeOf, oldFfmpeg } from "./composite-bed.ts";
import { grayPixels } from "./composite-judge.ts";
import { exportTrack } from "./export-tracks.ts";

const { signal } = new AbortController();

function face(path: string, characters: string): FontFace {
  return { path, has: (codePoint) => characters.includes(String.fromCodePoint(codePoint)) };
}

/** A font with some letters, beside which there are others. */
function fontWith(characters: string, ...others: readonly FontFace[]): NamesFont {
  return { ...face("own", characters), others: { having: async () => [...others] } };
}

describe("nameInFont", () => {
  const han = face("han", "李明 Li");
  const thai = face("thai", "สม");

  test("keeps to the font that names have, where that has all letters", async () => {
    const font = fontWith("Ada", face("other", "Ada"));
    expect(await nameInFont("Ada", font, signal)).toMatchObject({ fontPath: "own" });
  });

  test("takes the font that has what is lacking", async () => {
    const named = await nameInFont("李明 Li", fontWith("Li ", thai, han), signal);
    expect(named.fontPath).toBe("han");
    expect(named.drawn).toEqual({ text: "李明 Li", lacksLetters: false, lacksEmoji: false });
  });

  test("takes the font that has most of a name in several scripts, and says what is lacking", async () => {
    const named = await nameInFont("李明สม Li", fontWith("Li ", thai, han), signal);
    expect(named).toMatchObject({ fontPath: "han", drawn: { lacksLetters: true } });
  });

  test("keeps to its own font where no other has more", async () => {
    const named = await nameInFont("Li 李", fontWith("Li ?", thai), signal);
    expect(named).toMatchObject({ fontPath: "own", drawn: { lacksLetters: true } });
  });
});

test.each([
  ["that is not there", null],
  ["that fails", Bun.which("false")],
  ["that cannot be started", "/nonexistent/fc-match"],
])("a fontconfig %s gives no fonts", async (_, program) => {
  expect(await new SystemFonts(program).having([0x674e], signal)).toEqual([]);
});

/** Two names in each script: drawn alike they would be boxes. */
const SCRIPTS: readonly (readonly [script: string, first: string, second: string])[] = [
  ["Chinese", "李明", "王芳"],
  ["Japanese", "さくら", "ひろし"],
  ["Korean", "김민준", "이서연"],
  ["Thai", "สมชาย", "วิไล"],
  ["Devanagari", "अमित", "राज"],
  ["emoji", "👩", "💻"],
];

const SIZE = { width: 320, height: 180 };
const DURATION_MS = 200;

let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
});

afterAll(() => directory[Symbol.asyncDispose]());

/** The band of a composite that shows one name. */
async function bandOf(
  name: string,
  ffmpeg: FfmpegBinary,
  otherFonts: SystemFonts,
): Promise<{ readonly pixels: Uint8Array; readonly notes: readonly string[] }> {
  const path = await numberedSource(directory.path, "sound", {
    picture: null,
    toneHz: 300,
    durationMs: DURATION_MS,
  });
  const track = exportTrack({
    participant: name,
    offsetMs: 0,
    durationMs: DURATION_MS,
    pictures: false,
    path,
  });
  const made = await compositeOf({
    directory: directory.path,
    tracks: [track],
    durationMs: DURATION_MS,
    options: { height: 360, frameRate: 15 },
    ffmpeg,
    otherFonts,
  });
  const { scenes } = planLayout([track], DURATION_MS, canvasOf(360, 15));
  const tile = scenes[0]?.tiles[0];
  if (tile === undefined) throw new Error("There is no tile");
  const band = { x: tile.x, y: tile.y + tile.height - 32, width: SIZE.width, height: 32 };
  const pixels = await grayPixels(made.path, band, band.width, band.height);
  return { pixels: pixels.subarray(0, band.width * band.height), notes: made.notes ?? [] };
}

function differing(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((count, pixel, i) => count + (Math.abs(pixel - (b[i] ?? 0)) > 60 ? 1 : 0), 0);
}

test.each(SCRIPTS)(
  "names in %s are drawn with a font of the machine that has them",
  async (script, first, second) => {
    const fonts = new SystemFonts();
    const font = await findNamesFont("", fonts);
    const named = await Promise.all([first, second].map((name) => nameInFont(name, font, signal)));
    if (named.some(({ drawn }) => drawn.lacksLetters || drawn.lacksEmoji)) {
      process.stderr.write(`Not tried: no font of this machine has ${first} and ${second}\n`);
      return;
    }
    const old = await oldFfmpeg();
    for (const ffmpeg of [await judgeFfmpeg(), ...(old === undefined ? [] : [old])]) {
      const [one, other] = [
        await bandOf(first, ffmpeg, fonts),
        await bandOf(second, ffmpeg, fonts),
      ];
      expect({ script, notes: [...one.notes, ...other.notes] }).toEqual({ script, notes: [] });
      expect(one.pixels.filter((pixel) => pixel > 160).length).toBeGreaterThan(10);
      expect(differing(one.pixels, other.pixels)).toBeGreaterThan(20);
    }
  },
  60_000,
);
