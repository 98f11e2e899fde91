import { seededRandom } from "./signals.ts";

/** What each case is made of. Names are parts of the case's name. */
export const AXES = {
  video: [
    "none",
    "h264",
    "h264-b",
    "h264-open-gop",
    "h264-slices",
    "h264-tff",
    "h264-bff",
    "h264-10bit",
    "h264-444",
    "h264-annexb3",
    "h264-annexb4",
    "hevc",
    "hevc-10bit",
    "vp8",
    "vp8-alpha",
    "vp8-altref",
    "vp9",
    "vp9-alpha",
    "vp9-altref",
    "vp9-split",
    "vp9-10bit",
    "vp9-444",
    "av1-aom",
    "av1-10bit",
    "av1-svt",
    "av1-rav1e",
  ],
  shape: ["plain", "rot90", "rot180", "rot270", "sar2x1", "sar3x4", "odd", "vfr"],
  sound: [
    "none",
    "opus-1",
    "opus-2",
    "opus-6",
    "aac-1-8k",
    "aac-1-16k",
    "aac-2-44k",
    "aac-2-48k",
    "aac-6-48k",
    "vorbis-2-44k",
    "vorbis-1-16k",
    "pcm-1-8k",
    "pcm-2-48k",
    "flac-2-48k",
    "flac-1-16k",
    "mp3-2-44k",
    "mp3-1-16k",
  ],
  container: [
    "webm-live",
    "webm-file",
    "webm-unknown",
    "mkv-live",
    "mkv-file",
    "mkv-crc",
    "mkv-groups",
    "mkv-xiph",
    "mkv-ebml",
    "mkv-fixed",
    "mp4",
    "mp4-faststart",
    "mp4-edit",
    "mp4-frag-key",
    "mp4-frag-every",
    "mp4-frag-time",
    "mp4-frag-negcts",
    "mp4-frag-omit",
    "mp4-frag-cmaf",
    "mp4-frag-dash",
    "mp4-frag-delay",
  ],
  timing: ["t0", "t1h", "t-1s", "late-sound", "late-picture"],
  delivery: ["whole", "pieces", "lost", "pause", "twice", "joined"],
} as const;

export type VideoKind = (typeof AXES.video)[number];
export type Shape = (typeof AXES.shape)[number];
export type SoundKind = (typeof AXES.sound)[number];
export type Container = (typeof AXES.container)[number];
export type Timing = (typeof AXES.timing)[number];
export type Delivery = (typeof AXES.delivery)[number];

/** A file to make. */
export interface SourceSpec {
  readonly video: VideoKind;
  readonly shape: Shape;
  readonly sound: SoundKind;
  readonly container: Container;
  readonly timing: Timing;
}

/** A recording of one track. */
export interface MatrixCase {
  readonly name: string;
  readonly source: SourceSpec;
  readonly delivery: Delivery;
  /** The second segment of a case that is `twice` (made alike) or `joined` (made otherwise). */
  readonly second: SourceSpec | undefined;
}

/** The name of a file, with all that it is made of. */
export function sourceName({ video, shape, sound, container, timing }: SourceSpec): string {
  return [video, shape, sound, container, timing].join("_");
}

const codecOf = (kind: string): string => kind.split("-")[0] ?? kind;

/** Rewritten block by block, so that H.264 can be made Annex B in them. */
const REWRITTEN: ReadonlySet<Container> = new Set([
  "mkv-live",
  "mkv-crc",
  "mkv-groups",
  "mkv-xiph",
  "mkv-ebml",
  "mkv-fixed",
]);

const LACED: ReadonlySet<Container> = new Set(["mkv-xiph", "mkv-ebml", "mkv-fixed"]);

/** Whether such a file can be made, and means something. */
export function isPossible({ video, shape, sound, container, timing }: SourceSpec): boolean {
  const [picture, tone] = [codecOf(video), codecOf(sound)];
  const isMp4 = container.startsWith("mp4");
  if (video === "none" && (sound === "none" || shape !== "plain")) return false;
  if (container.startsWith("webm")) {
    if (!["none", "vp8", "vp9", "av1"].includes(picture)) return false;
    if (!["none", "opus", "vorbis"].includes(tone)) return false;
  }
  if (isMp4) {
    if (!["none", "h264", "hevc", "vp9", "av1"].includes(picture)) return false;
    if (!["none", "opus", "aac", "flac", "mp3"].includes(tone)) return false;
    if (video === "vp9-alpha" || video === "vp9-split") return false;
  } else {
    // ffmpeg writes a rotation into MP4 alone.
    if (shape.startsWith("rot")) return false;
    // ffmpeg reads no negative times from Matroska.
    if (timing === "t-1s") return false;
  }
  if (video.startsWith("h264-annexb") && !REWRITTEN.has(container)) return false;
  if (LACED.has(container) && ["none", "vorbis"].includes(tone)) return false;
  if (container === "mp4-edit" && timing !== "t0") return false;
  // Nothing of a fragmented file is before its zero but by an edit list.
  if (container.startsWith("mp4-frag") && timing === "t-1s") return false;
  if (timing.startsWith("late") && (video === "none" || sound === "none")) return false;
  // With an odd number of pixels, a picture has no whole number of halved colour samples: encoders refuse.
  if (shape === "odd") return /^(vp8|vp9|av1-(aom|10bit|rav1e)|h264-444)/.test(video);
  return true;
}

/**
 * The case of a name, as `chooseCases` gives it; throws where a part of it is no value of its axis, or
 * such a file cannot be made.
 */
export function caseNamed(name: string): MatrixCase {
  const parts = name.split("_");
  const delivery = valueOf("delivery", parts[5]);
  const source = specOf(parts.slice(0, 5));
  if (delivery === "twice") return { name, source, delivery, second: source };
  const second = delivery === "joined" ? specOf(parts.slice(6)) : undefined;
  return { name, source, delivery, second };
}

function specOf([video, shape, sound, container, timing]: readonly string[]): SourceSpec {
  const spec: SourceSpec = {
    video: valueOf("video", video),
    shape: valueOf("shape", shape),
    sound: valueOf("sound", sound),
    container: valueOf("container", container),
    timing: valueOf("timing", timing),
  };
  if (!isPossible(spec)) throw new Error(`${sourceName(spec)} cannot be made`);
  return spec;
}

function valueOf<A extends Axis>(axis: A, name: string | undefined): (typeof AXES)[A][number] {
  const values: readonly (typeof AXES)[A][number][] = AXES[axis];
  const value = values.find((candidate) => candidate === name);
  if (value === undefined) throw new Error(`${name} is no ${axis}`);
  return value;
}

interface Row extends SourceSpec {
  readonly delivery: Delivery;
}

type Axis = keyof typeof AXES;
const AXIS_NAMES = ["video", "shape", "sound", "container", "timing", "delivery"] as const;

/** How often each possible pair of values is met before the set is large enough. */
const TRIES_PER_PAIR = 60;

/**
 * Cases in which each value of an axis meets each value of every other, as far as they can be
 * together: a greedy cover of all pairs, again with other partners until there are `count`. The same for
 * the same seed.
 */
export function chooseCases(count: number, seed: number): MatrixCase[] {
  const random = seededRandom(seed);
  const rows = new Map<string, Row>();
  // The first round meets all pairs, however many cases that takes.
  coverPairs(rows, Infinity, random);
  while (rows.size < count) coverPairs(rows, count, random);
  return [...rows.values()].map((row) => caseOf(row, random));
}

/** Adds rows until each pair is met once more, or there are `countMax`. */
function coverPairs(rows: Map<string, Row>, countMax: number, random: () => number): void {
  const missing = allPairs();
  for (const pair of missing) {
    if (rows.size >= countMax) return;
    const row = bestRow(pair, missing, random);
    // Two values that cannot be in one case.
    if (row === undefined) continue;
    for (const met of pairsOf(row)) missing.delete(met);
    rows.set(rowName(row), row);
  }
}

const rowName = (row: Row): string => `${sourceName(row)}_${row.delivery}`;

function caseOf({ delivery, ...source }: Row, random: () => number): MatrixCase {
  const name = rowName({ ...source, delivery });
  if (delivery === "twice") return { name, source, delivery, second: source };
  if (delivery !== "joined") return { name, source, delivery, second: undefined };
  for (;;) {
    const second = withoutDelivery(randomRow(random, {}));
    // A track goes on as what it is: pictures do not become sound alone.
    const goesOn = (second.video === "none") === (source.video === "none");
    if (!isPossible(second) || !goesOn || sourceName(second) === sourceName(source)) continue;
    return { name: `${name}_${sourceName(second)}`, source, delivery, second };
  }
}

function withoutDelivery({ video, shape, sound, container, timing }: Row): SourceSpec {
  return { video, shape, sound, container, timing };
}

function allPairs(): Set<string> {
  const pairs = new Set<string>();
  for (const [i, one] of AXIS_NAMES.entries()) {
    for (const other of AXIS_NAMES.slice(i + 1)) {
      for (const a of AXES[one])
        for (const b of AXES[other]) pairs.add(`${one}=${a} ${other}=${b}`);
    }
  }
  return pairs;
}

function pairsOf(row: Row): string[] {
  return AXIS_NAMES.flatMap((one, i) =>
    AXIS_NAMES.slice(i + 1).map((other) => `${one}=${row[one]} ${other}=${row[other]}`),
  );
}

/** Of some possible rows with this pair, the one that meets the most pairs that are missing. */
function bestRow(
  pair: string,
  missing: ReadonlySet<string>,
  random: () => number,
): Row | undefined {
  const fixed = Object.fromEntries(pair.split(" ").map((part) => part.split("=")));
  let best: { row: Row; gain: number } | undefined;
  for (let i = 0; i < TRIES_PER_PAIR; i += 1) {
    const row = randomRow(random, fixed);
    if (!isPossible(row)) continue;
    const gain = pairsOf(row).filter((met) => missing.has(met)).length;
    if (best === undefined || gain > best.gain) best = { row, gain };
  }
  return best?.row;
}

function randomRow(random: () => number, fixed: Readonly<Record<string, string>>): Row {
  const pick = <A extends Axis>(axis: A): (typeof AXES)[A][number] => {
    const values: readonly string[] = AXES[axis];
    return valueOf(axis, fixed[axis] ?? values[Math.floor(random() * values.length)]);
  };
  return {
    video: pick("video"),
    shape: pick("shape"),
    sound: pick("sound"),
    container: pick("container"),
    timing: pick("timing"),
    delivery: pick("delivery"),
  };
}
