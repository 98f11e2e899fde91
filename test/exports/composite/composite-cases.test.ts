import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { segmentIdSchema } from "../../../src/contract/ids.ts";
import { type Tile, canvasOf, planLayout } from "../../../src/exports/composite/layout-plan.ts";
import type { ExportTrack } from "../../../src/exports/export-maker.ts";
import { judgeFfmpeg } from "../../support/judge-ffmpeg.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { compositeOf } from "./composite-bed.ts";
import { amplitudeOf, grayPixels, numbersIn, samplesOf } from "./composite-judge.ts";
import { exportTrack } from "./export-tracks.ts";
import { type NumberedSource, numberedSource } from "../../support/numbered-source.ts";

const SIZE = { width: 320, height: 180 };
const HEIGHT = 360;
const FRAMES_PER_SECOND = 30;
const STEP_MS = 1_000 / FRAMES_PER_SECOND;

let directory: TemporaryDirectory;
let sources = 0;

beforeAll(async () => {
  directory = await temporaryDirectory();
});

afterAll(() => directory[Symbol.asyncDispose]());

function source(request: NumberedSource): Promise<string> {
  sources += 1;
  return numberedSource(directory.path, `source-${sources}`, request);
}

function picture(firstNumber: number, stepMs = STEP_MS): NonNullable<NumberedSource["picture"]> {
  return { ...SIZE, firstNumber, codec: "h264", stepMs };
}

function make(tracks: readonly ExportTrack[], durationMs: number, signal?: AbortSignal) {
  const options = { height: HEIGHT } as const;
  return compositeOf({
    directory: directory.path,
    tracks,
    durationMs,
    options,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** The tiles at a moment. */
function tilesAt(
  tracks: readonly ExportTrack[],
  durationMs: number,
  atMs: number,
): readonly Tile[] {
  const frame = Math.round(atMs / STEP_MS);
  const { scenes } = planLayout(tracks, durationMs, canvasOf(HEIGHT, FRAMES_PER_SECOND));
  return scenes.findLast(({ fromFrame }) => fromFrame <= frame)?.tiles ?? [];
}

async function numbersOf(path: string, tile: Tile | undefined): Promise<(number | undefined)[]> {
  if (tile === undefined) throw new Error("There is no such tile");
  return await numbersIn(path, tile, SIZE);
}

test("a shared screen that changes seldom shows its standing picture when others come", async () => {
  const camera = { picture: picture(1_000), toneHz: 440, durationMs: 6_000 };
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 0, durationMs: 6_000, path: await source(camera) }),
    exportTrack({
      participant: "ada",
      track: "screen",
      offsetMs: 1_000,
      durationMs: 5_000,
      sound: false,
      path: await source({ picture: picture(7, 2_500), toneHz: null, durationMs: 5_000 }),
    }),
    // Comes between two pictures of the screen.
    exportTrack({
      participant: "bob",
      offsetMs: 2_500,
      durationMs: 2_000,
      path: await source({ ...camera, durationMs: 2_000 }),
    }),
  ];
  const { path } = await make(tracks, 6_000);
  const shown = await numbersOf(path, tilesAt(tracks, 6_000, 1_500)[0]);
  const at = (ms: number) => shown[Math.round(ms / STEP_MS)];
  expect([at(1_000), at(2_400), at(2_500), at(3_400), at(3_500), at(4_600), at(5_900)]).toEqual([
    7, 7, 7, 7, 8, 8, 8,
  ]);
});

test("what stands at a moment is exact on both sides of a slice's begin", async () => {
  const durationMs = 31_000;
  const path = await source({ picture: picture(0), toneHz: null, durationMs });
  const tracks = [exportTrack({ participant: "ada", offsetMs: 0, durationMs, sound: false, path })];
  const composite = await make(tracks, durationMs);
  const numbers = await numbersOf(composite.path, tilesAt(tracks, durationMs, 0)[0]);
  expect(numbers).toEqual(Array.from({ length: 930 }, (_, i) => i));
});

test("the picture of a device whose clock runs slow keeps to the recording's time, and its sound", async () => {
  // As far off as no clock is, so that a short recording shows it.
  const rate = 1.02;
  const durationMs = 6_000;
  const path = await source({ picture: picture(0), toneHz: 500, durationMs });
  const segmentId = segmentIdSchema.parse(crypto.randomUUID());
  const segments = [{ segmentId, offsetMs: 0, durationMs: durationMs * rate, rate }];
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 0, durationMs: durationMs * rate, path, segments }),
  ];
  const composite = await make(tracks, durationMs * rate);
  const numbers = await numbersOf(composite.path, tilesAt(tracks, durationMs * rate, 0)[0]);
  for (const [frame, number] of numbers.entries()) {
    expect(Math.abs((number ?? Infinity) - frame / rate)).toBeLessThanOrEqual(1);
  }
  const samples = await samplesOf(composite.path);
  expect(amplitudeOf(samples, 500 / rate, 3_000, 4_000)).toBeGreaterThan(0.1);
});

/** Two seconds of numbered pictures for each of these sizes, one after the other in one file. */
async function sizesSource(name: string, sizes: readonly string[]): Promise<string> {
  const ffmpeg = await judgeFfmpeg();
  const whole = await source({ picture: picture(0), toneHz: null, durationMs: 2_000 });
  const streams: Uint8Array[] = [];
  for (const size of sizes) {
    const child = Bun.spawn(
      `${ffmpeg.path} -v error -nostdin -i ${whole} -vf scale=${size},setsar=1 -c:v libx264 -preset ultrafast -bf 0 -g 15 -f h264 pipe:1`.split(
        " ",
      ),
      { stdout: "pipe" },
    );
    streams.push(await new Response(child.stdout).bytes());
  }
  const path = join(directory.path, `${name}.mp4`);
  const mux = Bun.spawn(
    `${ffmpeg.path} -v quiet -f h264 -r 30 -i pipe:0 -c copy -y ${path}`.split(" "),
    { stdin: new Blob(streams.map((stream) => new Uint8Array(stream))) },
  );
  expect(await mux.exited).toBe(0);
  return path;
}

test("a picture whose size changes is fitted anew and the others go on", async () => {
  const path = await sizesSource("sizes", ["320:180", "120:180"]);
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 0, durationMs: 4_000, sound: false, path }),
    exportTrack({
      participant: "bob",
      offsetMs: 0,
      durationMs: 4_000,
      sound: false,
      path: await source({ picture: picture(0), toneHz: null, durationMs: 4_000 }),
    }),
  ];
  const composite = await make(tracks, 4_000);
  const [ada, bob] = tilesAt(tracks, 4_000, 0);
  if (ada === undefined || bob === undefined) throw new Error("There are two tiles");
  const before = await numbersIn(composite.path, ada, SIZE);
  const after = await numbersIn(composite.path, ada, { width: 120, height: 180 });
  expect(before.slice(0, 60)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  expect(after.slice(60)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  const other = await numbersIn(composite.path, bob, SIZE);
  expect(other).toEqual(Array.from({ length: 120 }, (_, i) => i));
});

test.each(["2000:2", "2:2000"])(
  "a picture that becomes a line of %s does not end it",
  async (line) => {
    const tracks = [
      exportTrack({
        participant: "ada",
        offsetMs: 0,
        durationMs: 6_000,
        sound: false,
        path: await sizesSource(`line-${line.replace(":", "-")}`, ["320:180", line, "320:180"]),
      }),
      exportTrack({
        participant: "bob",
        offsetMs: 0,
        durationMs: 6_000,
        sound: false,
        path: await source({ picture: picture(0), toneHz: null, durationMs: 6_000 }),
      }),
    ];
    const composite = await make(tracks, 6_000);
    const [ada, bob] = tilesAt(tracks, 6_000, 0);
    const shown = await numbersOf(composite.path, ada);
    const twoSeconds = Array.from({ length: 60 }, (_, i) => i);
    expect(shown.slice(0, 60)).toEqual(twoSeconds);
    expect(shown.slice(120)).toEqual(twoSeconds);
    const other = await numbersOf(composite.path, bob);
    expect(other).toEqual(Array.from({ length: 180 }, (_, i) => i));
  },
);

test("a picture that begins later than its sound keeps its place, also behind a scene's begin", async () => {
  const { path: ffmpeg } = await judgeFfmpeg();
  const early = await source({ picture: null, toneHz: 300, durationMs: 4_000 });
  const late = await source({ picture: picture(0), toneHz: null, durationMs: 3_500 });
  const path = join(directory.path, "late-picture.mp4");
  const mux = `${ffmpeg} -v error -nostdin -i ${early} -itsoffset 0.5 -i ${late} -c copy -strict -2 -y ${path}`;
  expect(await Bun.spawn(mux.split(" "), { stderr: "inherit" }).exited).toBe(0);
  const guest = await source({ picture: null, toneHz: 500, durationMs: 1_000 });
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 100, durationMs: 4_000, path }),
    exportTrack({
      participant: "bob",
      offsetMs: 2_100,
      durationMs: 1_000,
      pictures: false,
      path: guest,
    }),
  ];
  const composite = await make(tracks, 4_100);
  // It comes 600 ms after the recording's zero. The guest is there from picture 63 to picture 93.
  for (const [from, to] of [
    [18, 63],
    [63, 93],
    [93, 123],
  ] as const) {
    const tiles = tilesAt(tracks, 4_100, from * STEP_MS);
    const numbers = await numbersOf(
      composite.path,
      tiles.find(({ name }) => String(name) === "ada"),
    );
    const expected = Array.from({ length: to - from }, (_, i) => from + i - 18);
    expect(numbers.slice(from, to)).toEqual(expected);
  }
});

test("a recording that was stopped at once gives one picture", async () => {
  const path = await source({ picture: picture(5), toneHz: null, durationMs: 1_000 });
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 0, durationMs: 10, sound: false, path }),
  ];
  const composite = await make(tracks, 10);
  const [tile] = tilesAt(tracks, 10, 0);
  expect(await numbersOf(composite.path, tile)).toEqual([5]);
});

test("four voices at once do not clip, and one keeps its level when others join", async () => {
  const tracks: ExportTrack[] = [];
  const tones = [440, 550, 660, 770];
  for (const [i, toneHz] of tones.entries()) {
    // All four together speak at the end alone; the second is soft and comes earlier.
    const offsetMs = [0, 2_000, 4_000, 4_000][i] ?? 0;
    const volume = [4, 0.5, 7, 7][i] ?? 1;
    const durationMs = 6_000 - offsetMs;
    const channels = i % 2 === 0 ? 2 : 1;
    const path = await source({ picture: null, toneHz, durationMs, volume, channels });
    tracks.push(exportTrack({ participant: `p${i}`, offsetMs, durationMs, pictures: false, path }));
  }
  const { path } = await make(tracks, 6_000);
  const samples = await samplesOf(path);
  const alone = amplitudeOf(samples, 440, 1_000, 1_900);
  const joined = amplitudeOf(samples, 440, 2_100, 3_900);
  expect(alone).toBeGreaterThan(0.45);
  expect(alone).toBeLessThan(0.55);
  expect(Math.abs(joined - alone)).toBeLessThan(0.01);
  expect(amplitudeOf(samples, 550, 2_100, 3_900)).toBeGreaterThan(0.05);
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  expect(peak).toBeLessThan(1);
  // Softer together, but all are heard.
  for (const toneHz of [440, 660, 770]) {
    expect(amplitudeOf(samples, toneHz, 4_500, 5_900)).toBeGreaterThan(0.15);
  }
});

test("names are drawn, whatever is in them, and sound alone has a plain tile", async () => {
  const names = [
    "ada",
    "it's: %{pts} \\ [x];, \\'",
    "%{metadata\\:x} $(id) `id`",
    "😀 Zoë Жанна",
    "x".repeat(128),
  ];
  const path = await source({ picture: null, toneHz: 300, durationMs: 1_000 });
  const tracks = names.map((participant) =>
    exportTrack({ participant, offsetMs: 0, durationMs: 1_000, pictures: false, path }),
  );
  const composite = await make(tracks, 1_000);
  expect(composite.notes).toEqual([]);
  const tiles = tilesAt(tracks, 1_000, 0);
  expect(tiles.length).toBe(names.length);
  for (const tile of tiles) {
    const band = { ...tile, y: tile.y + tile.height - 16, height: 16 };
    const letters = await grayPixels(composite.path, band, band.width, band.height);
    const white = letters.filter((pixel) => pixel > 180).length;
    expect(white).toBeGreaterThan(10);
    const above = { ...tile, height: tile.height - 20 };
    const plain = await grayPixels(composite.path, above, above.width, above.height);
    expect(Math.max(...plain.slice(0, 1_000)) - Math.min(...plain.slice(0, 1_000))).toBeLessThan(
      16,
    );
  }
});

test("names that the font has no letters for are told of, and another font can be chosen", async () => {
  const path = await source({ picture: null, toneHz: 300, durationMs: 1_000 });
  const tracks = ["ada", "さくら"].map((participant) =>
    exportTrack({ participant, offsetMs: 0, durationMs: 1_000, pictures: false, path }),
  );
  const inDefault = await make(tracks, 1_000);
  const notes = [
    "No font of the server has all letters of these names: さくら. Its operator can install one, or " +
      "choose one with NAMES_FONT_PATH.",
  ];
  expect(inDefault.notes).toEqual(notes);
  const namesFontPath = fileURLToPath(
    import.meta.resolve("dejavu-fonts-ttf/ttf/DejaVuSansMono-Bold.ttf"),
  );
  const inOther = await compositeOf({
    directory: directory.path,
    tracks,
    durationMs: 1_000,
    options: { height: HEIGHT },
    namesFontPath,
  });
  // This one does not have them either.
  expect(inOther.notes).toEqual(notes);
  const [tile] = tilesAt(tracks, 1_000, 0);
  if (tile === undefined) throw new Error("There is a tile");
  const band = { ...tile, y: tile.y + tile.height - 16, height: 16 };
  const [letters, others] = await Promise.all(
    [inDefault, inOther].map(({ path: made }) => grayPixels(made, band, band.width, band.height)),
  );
  const white = [letters, others].map(
    (pixels) => pixels?.filter((pixel) => pixel > 180).length ?? 0,
  );
  expect(Math.min(...white)).toBeGreaterThan(10);
  expect(Buffer.from(others ?? []).equals(Buffer.from(letters ?? []))).toBe(false);
});

test("emoji of several code points are named, and are not drawn as a row of boxes", async () => {
  const path = await source({ picture: null, toneHz: 300, durationMs: 1_000 });
  const names = ["Ada", "Ada 👩‍💻", "Ada 👍🏽🧑🏿‍🚀"];
  const tracks = names.map((participant) =>
    exportTrack({ participant, offsetMs: 0, durationMs: 1_000, pictures: false, path }),
  );
  const composite = await make(tracks, 1_000);
  expect(composite.notes).toEqual([
    "Emoji of these names are left out or drawn in a simpler way: Ada 👩‍💻, Ada 👍🏽🧑🏿‍🚀.",
  ]);
  const bands = await Promise.all(
    tilesAt(tracks, 1_000, 0).map(async (tile) => {
      const band = { ...tile, y: tile.y + tile.height - 16, height: 16 };
      const pixels = await grayPixels(composite.path, band, band.width, band.height);
      return pixels.filter((pixel) => pixel > 180).length;
    }),
  );
  const [ada = 0] = bands;
  expect(ada).toBeGreaterThan(10);
  // Boxes would add a name's worth of white; encoding alone makes no two tiles differ so much.
  for (const white of bands) expect(Math.abs(white - ada)).toBeLessThan(ada * 0.3);
});

test("a recording in which nobody is there yet begins dark", async () => {
  const path = await source({ picture: picture(5), toneHz: null, durationMs: 1_000 });
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 1_000, durationMs: 1_000, sound: false, path }),
  ];
  const composite = await make(tracks, 2_000);
  const everything = { x: 0, y: 0, width: 640, height: 360 };
  const brightness = await grayPixels(composite.path, everything, 1, 1);
  expect(brightness.length).toBe(60);
  expect(Math.max(...brightness.subarray(0, 30))).toBeLessThan(32);
  expect(Math.min(...brightness.subarray(30))).toBeGreaterThan(32);
});

test("a composite that is given up leaves no ffmpeg behind", async () => {
  const durationMs = 40_000;
  // What a file lacks stands still.
  const path = await source({ picture: picture(0), toneHz: 440, durationMs: 1_000 });
  const tracks = [exportTrack({ participant: "ada", offsetMs: 0, durationMs, path })];
  const giveUp = new AbortController();
  const reason = new Error("given up");
  const made = compositeOf({
    directory: directory.path,
    tracks,
    durationMs,
    options: { height: 1_080 },
    signal: giveUp.signal,
    onProgress: (share) => {
      if (share > 0) giveUp.abort(reason);
    },
  });
  expect(await made.catch((error: unknown) => error)).toBe(reason);
  const { stdout } = Bun.spawnSync(["ps", "-eo", "args"]);
  expect(stdout.toString()).not.toContain(path);
});

test("a track that cannot be read fails the composite, and ends its other runs", async () => {
  const durationMs = 40_000;
  const good = await source({ picture: picture(0), toneHz: null, durationMs: 1_000 });
  const bad = join(directory.path, "bad.mp4");
  await Bun.write(bad, "no MP4");
  const tracks = [
    exportTrack({ participant: "ada", offsetMs: 0, durationMs, path: good }),
    exportTrack({ participant: "bob", offsetMs: 35_000, durationMs: 5_000, path: bad }),
  ];
  await expect(make(tracks, durationMs)).rejects.toThrow("ffmpeg could not make anything");
});
