import { inputArguments, secondsOf } from "../../finalize/ffmpeg-arguments.ts";
import { isOnItsSide, isUpright, turnedSize } from "../../finalize/picture-display.ts";
import { fittedInto, turnFilters } from "../../finalize/picture-filters.ts";
import { filterValue } from "./filter-value.ts";
import type { Canvas, Scene, Tile } from "./layout-plan.ts";
import { even } from "./tile-grid.ts";

/** Where names are drawn from. */
export interface NameTexts {
  fontPath(name: string): string;
  /** File with the name alone, in UTF-8. */
  textPath(name: string): string;
}

const BACKGROUND = "0x101214";
/** What stands behind a picture that does not fill its tile, or has not come yet. */
const PLATE = "0x1c1f24";
/** Of those who send sound alone; told apart by their names. */
const SOUND_PLATES = ["0x2f4858", "0x4a3b5c", "0x34523f", "0x5c4433", "0x56364a", "0x3a4468"];

/** The band that a name stands on, of the tile's height; within bounds that can be read. */
const BAND_SHARE = 0.09;
const BAND_HEIGHT_MIN = 16;
const BAND_HEIGHT_MAX = 40;
/** Of the band's height. */
const FONT_SHARE = 0.62;
/** Height of a capital letter, of the font's size. */
const CAPITAL_SHARE = 0.73;

/** Pictures between two that a player can begin with: seeking is off by less than this. */
const KEYFRAME_SECONDS = 4;

/** Decoding of more pictures at once goes on in parallel without more threads of each. */
const THREADED_DECODERS_MAX = 9;

/**
 * Arguments for one run of ffmpeg that makes the pictures of a scene, exactly `scene.frames` of them.
 * Pure. Each shows what stands in the tracks at its own moment: the newest picture that is not later.
 */
export function sceneArguments(
  scene: Scene,
  canvas: Canvas,
  names: NameTexts | undefined,
  outputPath: string,
): string[] {
  const shown = scene.tiles.flatMap(({ picture }) => picture ?? []);
  const threads = shown.length > THREADED_DECODERS_MAX ? "1" : "2";
  const inputs: string[] = [];
  for (const { path, mediaFromMs } of shown) {
    inputs.push("-threads", threads);
    // Else a change of a picture's size would begin the whole graph anew, its clock at zero.
    inputs.push("-reinit_filter", "0");
    // Begins at the keyframe before, whose pictures get times below zero: the newest of them is what
    // stands at the begin. An exact seek would drop it, and a screen may then have none for minutes.
    inputs.push("-noaccurate_seek");
    // By the MP4's own clock; else times count from the first packet.
    inputs.push("-seek_timestamp", "1", "-ss", secondsOf(mediaFromMs));
    inputs.push(...inputArguments("mp4", { path }));
  }
  return [
    ...inputs,
    "-filter_complex",
    sceneGraph(scene, canvas, names),
    "-map",
    "[composite]",
    "-frames:v",
    String(scene.frames),
    ...videoEncoding(canvas),
    "-f",
    "mp4",
    "-y",
    `file:${outputPath}`,
  ];
}

/** The same for all scenes, so that they can be joined by copying. */
function videoEncoding({ frameRate }: Canvas): string[] {
  return [
    "-c:v",
    "libx264",
    "-preset",
    "superfast",
    "-crf",
    "23",
    "-pix_fmt",
    "yuv420p",
    "-g",
    String(KEYFRAME_SECONDS * frameRate),
    // Without B-frames each picture is stored at its own time: joining needs no edit lists.
    "-bf",
    "0",
    "-video_track_timescale",
    String(trackTimescale(frameRate)),
  ];
}

/** Ticks in a second: a picture has a whole number of them. */
export function trackTimescale(frameRate: number): number {
  return frameRate * 512;
}

/** Layers from below: the background, a plate for each tile, the pictures, the names. */
function sceneGraph(scene: Scene, canvas: Canvas, names: NameTexts | undefined): string {
  const chains: string[] = [];
  let top = "plates";
  const lay = (layer: string, onto: string, place: string): string => {
    const result = `on_${layer}`;
    chains.push(`[${onto}][${layer}]overlay=${place}[${result}]`);
    return result;
  };
  // The plates stand still: they are put together once.
  let still = "still";
  chains.push(`${colour(BACKGROUND, canvas.width, canvas.height)},format=yuv420p[still]`);
  for (const [i, tile] of scene.tiles.entries()) {
    chains.push(`${colour(plateColour(tile), tile.width, tile.height)},format=yuva420p[plate${i}]`);
    still = lay(`plate${i}`, still, `${tile.x}:${tile.y}`);
  }
  const { width, height, frameRate } = canvas;
  chains.push(
    `color=c=${BACKGROUND}:s=${width}x${height}:r=${frameRate},format=yuv420p[clock]`,
    `[clock][${still}]overlay=0:0[plates]`,
  );
  let input = 0;
  for (const [i, tile] of scene.tiles.entries()) {
    if (tile.picture === null) continue;
    const { rate, display } = tile.picture;
    const area = isOnItsSide(display) ? turnedSize(tile) : tile;
    const isAsStored = isUpright(display);
    const fitted = isAsStored ? `picture${i}` : `fitted${i}`;
    chains.push(
      `[${input}:v:0]${rate === 1 ? "" : `setpts=PTS*${rate.toFixed(9)},`}` +
        // A picture whose size changes is fitted anew. In any other format, `overlay` would have another
        // scaler before it, which keeps the first size.
        `scale=${fittedInto(area)}:eval=frame:flags=bilinear,format=yuva420p[${fitted}]`,
    );
    if (!isAsStored) {
      // Filters that turn cannot follow a change of size: the whole tile is turned.
      const size = `${area.width}x${area.height}`;
      chains.push(
        `color=c=${PLATE}:s=${size}:r=${frameRate},format=yuv420p[behind${i}]`,
        `[behind${i}][${fitted}]overlay=(W-w)/2:(H-h)/2:eval=frame[tile${i}]`,
        `[tile${i}]${[...turnFilters(display), "format=yuva420p"].join(",")}[picture${i}]`,
      );
    }
    const place = `${tile.x}+(${tile.width}-w)/2:${tile.y}+(${tile.height}-h)/2:eval=frame`;
    top = lay(`picture${i}`, top, place);
    input += 1;
  }
  if (names !== undefined) {
    for (const [i, tile] of scene.tiles.entries()) {
      const band = bandHeight(tile);
      chains.push(`${nameBand(tile, band, names)}[name${i}]`);
      top = lay(`name${i}`, top, `${tile.x}:${tile.y + tile.height - band}`);
    }
  }
  chains.push(`[${top}]null[composite]`);
  return chains.join(";");
}

/** One picture that stands for ever: `overlay` repeats the last of its layer. */
function colour(value: string, width: number, height: number): string {
  return `color=c=${value}:s=${width}x${height}:r=1:d=1`;
}

function plateColour({ name, picture }: Tile): string {
  if (picture !== null) return PLATE;
  let sum = 0;
  for (const character of name) sum += character.codePointAt(0) ?? 0;
  return SOUND_PLATES[sum % SOUND_PLATES.length] ?? PLATE;
}

function bandHeight({ height }: Tile): number {
  const wanted = Math.min(BAND_HEIGHT_MAX, Math.max(BAND_HEIGHT_MIN, height * BAND_SHARE));
  return Math.max(2, even(Math.min(wanted, height)));
}

/**
 * The name is drawn into a band of the tile's width, which cuts a long one off. It is read from a file
 * and not expanded: nothing in it can mean anything.
 */
function nameBand({ name, width }: Tile, height: number, names: NameTexts): string {
  const fontSize = Math.max(8, Math.round(height * FONT_SHARE));
  const text = [
    `fontfile=${filterValue(names.fontPath(name))}`,
    `textfile=${filterValue(names.textPath(name))}`,
    "expansion=none",
    "fontcolor=white",
    `fontsize=${fontSize}`,
    `x=${Math.round(height / 3)}`,
    // All names stand on one line, whether they have tall letters or not.
    `y=${Math.round((height + fontSize * CAPITAL_SHARE) / 2)}-ascent`,
  ].join(":");
  return `${colour("black@0.55", width, height)},format=yuva420p,drawtext=${text}`;
}
