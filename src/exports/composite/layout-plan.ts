import type { ParticipantId } from "../../contract/ids.ts";
import type { PictureDisplay } from "../../finalize/picture-display.ts";
import type { ExportTrack } from "../export-maker.ts";
import { type ClockedStretch, clockedStretches } from "./media-clock.ts";
import { type Area, even, gridOf } from "./tile-grid.ts";
import { type Stretch, presenceOf } from "./track-presence.ts";

/** The picture that is made. */
export interface Canvas {
  /** In pixels, both even. */
  readonly width: number;
  readonly height: number;
  /** Pictures in a second. */
  readonly frameRate: number;
}

/** The pictures of a track in a tile. */
export interface TilePicture {
  /** Of the published MP4. */
  readonly path: string;
  /** Time of the MP4 that is shown in the scene's first picture. */
  readonly mediaFromMs: number;
  /** Milliseconds of the recording in one of the MP4. */
  readonly rate: number;
  /** How it is shown. */
  readonly display: PictureDisplay;
}

/** One participant's place in the picture. */
export interface Tile extends Area {
  readonly name: ParticipantId;
  /** Null for one of whom there is sound only. */
  readonly picture: TilePicture | null;
}

/** A stretch of the composite during which the same tiles are there. */
export interface Scene {
  /** Number of its first picture; each stands for the moment in the middle of its time (`momentMs`). */
  readonly fromFrame: number;
  readonly frames: number;
  /** Empty while nobody is there. */
  readonly tiles: readonly Tile[];
}

/** What is shown when. */
export interface LayoutPlan {
  /** In order of time, without holes, from 0 to the end of the recording. */
  readonly scenes: readonly Scene[];
  /** Who is heard but at some time not seen, since there were more than `TILES_MAX` at once. */
  readonly unseen: readonly ParticipantId[];
}

/** More would be too small to tell who it is: at 720p these are 212 pixels wide. */
export const TILES_MAX = 36;

/** Share of the width that a screen has when there are cameras beside it. */
const STAGE_SHARE = 0.8;

/** Between tiles, of the height: thin, but seen. */
const GAP_SHARE = 1 / 120;

/** Under this name an app sends a participant's screen (`client/recorder`). */
const SCREEN_TRACK = "screen";

/** A canvas of the usual shape. */
export function canvasOf(height: number, frameRate: number): Canvas {
  return { width: even((height * 16) / 9), height: even(height), frameRate };
}

/** How many pictures a recording has: its length, rounded to the nearest picture; at least one. */
export function framesOf(durationMs: number, { frameRate }: Canvas): number {
  return Math.max(1, Math.round((durationMs * frameRate) / 1_000));
}

/**
 * Decides who is seen where and when. Pure. A participant's camera has a tile from the first picture
 * at or after its begin to the last before its end; a screen that is shared is large beside a column of
 * all others; of whom there is only sound, a plain tile is shown.
 */
export function planLayout(
  tracks: readonly ExportTrack[],
  durationMs: number,
  canvas: Canvas,
): LayoutPlan {
  const frames = framesOf(durationMs, canvas);
  const actors = rolesOf(tracks);
  const cuts = new Set([0]);
  for (const { stretches } of actors) {
    for (const { fromMs, toMs } of stretches) {
      for (const ms of [fromMs, toMs]) {
        const frame = frameAt(ms, canvas);
        if (frame > 0 && frame < frames) cuts.add(frame);
      }
    }
  }
  const unseen = new Set<ParticipantId>();
  const scenes: Scene[] = [];
  const begins = [...cuts].toSorted((a, b) => a - b);
  for (const [i, fromFrame] of begins.entries()) {
    const scene: Scene = {
      fromFrame,
      frames: (begins[i + 1] ?? frames) - fromFrame,
      tiles: tilesAt(fromFrame, actors, canvas, unseen),
    };
    const before = scenes.at(-1);
    if (before !== undefined && goesOn(before, scene, canvas)) {
      scenes.splice(-1, 1, { ...before, frames: before.frames + scene.frames });
    } else {
      scenes.push(scene);
    }
  }
  return { scenes, unseen: [...unseen] };
}

/** A scene in pieces of at most so many pictures. */
export function slicesOf(scene: Scene, framesMax: number, { frameRate }: Canvas): readonly Scene[] {
  const slices: Scene[] = [];
  for (let at = 0; at < scene.frames; at += framesMax) {
    slices.push({
      fromFrame: scene.fromFrame + at,
      frames: Math.min(framesMax, scene.frames - at),
      tiles: scene.tiles.map((tile) => later(tile, (at * 1_000) / frameRate)),
    });
  }
  return slices;
}

/** The tile as it is so much later in its scene. */
function later(tile: Tile, byMs: number): Tile {
  const { picture } = tile;
  if (picture === null) return tile;
  const mediaFromMs = picture.mediaFromMs + byMs / picture.rate;
  return { ...tile, picture: { ...picture, mediaFromMs } };
}

type Role = "camera" | "screen" | "sound";

/** A track in its part. */
interface Actor {
  readonly track: ExportTrack;
  readonly role: Role;
  /** When it is there, cut where its clock's rate changes. */
  readonly stretches: readonly ClockedStretch[];
}

/** A participant's first track with pictures that is no screen is the camera; all others are screens. */
function rolesOf(tracks: readonly ExportTrack[]): readonly Actor[] {
  const withCamera = new Set<ParticipantId>();
  return tracks.map((track): Actor => {
    const { timeline } = track;
    const hasPictures = track.media.videoCodec !== null;
    const present = presenceOf(timeline, hasPictures ? "video" : "audio");
    const stretches = intersect(present, clockedStretches(timeline));
    if (!hasPictures) return { track, role: "sound", stretches };
    if (track.trackId === SCREEN_TRACK || withCamera.has(track.participantId)) {
      return { track, role: "screen", stretches };
    }
    withCamera.add(track.participantId);
    return { track, role: "camera", stretches };
  });
}

function intersect(
  present: readonly Stretch[],
  clocked: readonly ClockedStretch[],
): readonly ClockedStretch[] {
  return present.flatMap((stretch) =>
    clocked.flatMap(({ fromMs, toMs, mediaFromMs, rate }) => {
      const begin = Math.max(fromMs, stretch.fromMs);
      const end = Math.min(toMs, stretch.toMs);
      if (end <= begin) return [];
      return {
        fromMs: begin,
        toMs: end,
        mediaFromMs: mediaFromMs + (begin - fromMs) / rate,
        rate,
      };
    }),
  );
}

/**
 * The moment of the recording that a picture of the composite stands for. A picture of a track so comes
 * up to half a picture too early or too late; with that of the begin all came up to a whole one too late.
 */
function momentMs(frame: number, { frameRate }: Canvas): number {
  return ((frame + 0.5) * 1_000) / frameRate;
}

/** The first picture that stands for a moment at or after `ms`; rounding of times is no moment. */
function frameAt(ms: number, { frameRate }: Canvas): number {
  return Math.ceil((ms * frameRate) / 1_000 - 0.5 - 1e-6);
}

/** What is in a tile; its place follows from all of them. */
type Occupant = Omit<Tile, keyof Area>;

function tilesAt(
  frame: number,
  actors: readonly Actor[],
  canvas: Canvas,
  unseen: Set<ParticipantId>,
): readonly Tile[] {
  const screens: Occupant[] = [];
  const others: Occupant[] = [];
  const seen = new Set<ParticipantId>();
  const present = actors.flatMap((actor) => {
    const stretch = stretchAt(actor, frame, canvas);
    return stretch === undefined ? [] : { ...actor, stretch };
  });
  for (const { track, role } of present) if (role === "camera") seen.add(track.participantId);
  for (const { track, role, stretch } of present) {
    const name = track.participantId;
    const picture = pictureAt(track, stretch, frame, canvas);
    if (role === "screen") screens.push({ name, picture });
    if (role === "camera") others.push({ name, picture });
    if (role === "sound" && !seen.has(name)) {
      seen.add(name);
      others.push({ name, picture: null });
    }
  }
  const shown = screens.slice(0, TILES_MAX);
  const beside = others.slice(0, TILES_MAX - shown.length);
  for (const { name } of [...screens.slice(shown.length), ...others.slice(beside.length)]) {
    unseen.add(name);
  }
  return arrange(shown, beside, canvas);
}

/** The first picture also has who left before its moment: in a recording that was stopped at once, all. */
function stretchAt({ stretches }: Actor, frame: number, canvas: Canvas) {
  return stretches.find(
    ({ fromMs, toMs }) =>
      frameAt(fromMs, canvas) <= frame && frame < Math.max(1, frameAt(toMs, canvas)),
  );
}

function pictureAt(
  { path, display = {} }: ExportTrack,
  { fromMs, mediaFromMs, rate }: ClockedStretch,
  frame: number,
  canvas: Canvas,
): TilePicture {
  const ms = momentMs(frame, canvas);
  return { path, mediaFromMs: mediaFromMs + (ms - fromMs) / rate, rate, display };
}

function arrange(
  screens: readonly Occupant[],
  others: readonly Occupant[],
  { width, height }: Canvas,
): readonly Tile[] {
  const gap = Math.max(2, even(height * GAP_SHARE));
  const inner: Area = { x: gap, y: gap, width: width - 2 * gap, height: height - 2 * gap };
  if (screens.length === 0) return placed(others, gridOf(inner, others.length, gap));
  if (others.length === 0) return placed(screens, gridOf(inner, screens.length, gap));
  const stage: Area = { ...inner, width: even(inner.width * STAGE_SHARE) };
  const column: Area = {
    ...inner,
    x: stage.x + stage.width + gap,
    width: inner.width - stage.width - gap,
  };
  return [
    ...placed(screens, gridOf(stage, screens.length, gap)),
    ...placed(others, columnOf(column, others.length, gap)),
  ];
}

/** Tiles below each other that are no higher than the usual shape needs; very many fill the column. */
function columnOf(column: Area, count: number, gap: number): readonly Area[] {
  const heightMax = count * even((column.width * 9) / 16) + (count - 1) * gap;
  if (heightMax > column.height) return gridOf(column, count, gap);
  const y = column.y + even((column.height - heightMax) / 2);
  return gridOf({ ...column, y, height: heightMax }, count, gap);
}

function placed(occupants: readonly Occupant[], areas: readonly Area[]): readonly Tile[] {
  return occupants.flatMap((occupant, i) => {
    const area = areas[i];
    return area === undefined ? [] : { ...occupant, ...area };
  });
}

/** Whether a scene is the one before, only later. */
function goesOn(before: Scene, scene: Scene, { frameRate }: Canvas): boolean {
  if (before.tiles.length !== scene.tiles.length) return false;
  const passedMs = (before.frames * 1_000) / frameRate;
  return before.tiles.every((tile, i) => {
    const expected = later(tile, passedMs);
    const other = scene.tiles[i];
    return (
      other !== undefined &&
      other.name === expected.name &&
      other.picture?.path === expected.picture?.path &&
      other.picture?.rate === expected.picture?.rate &&
      Math.abs((other.picture?.mediaFromMs ?? 0) - (expected.picture?.mediaFromMs ?? 0)) < 1
    );
  });
}
