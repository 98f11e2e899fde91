import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type SourceSpec, type VideoKind, sourceName } from "./cases.ts";
import { type FragmentShift, shiftFragments } from "./fragment-shift.ts";
import { rewriteMatroska } from "./matroska-rewrite.ts";
import { COLUMNS, NUMBERS_PER_SEED, ROWS, cellsOf, channelGains, soundAt } from "./signals.ts";

export const STEP_MS = 40;
export const SOURCE_MS = 3_000;
export const LATE_MS = 700;
/** What is before the begin that an edit list sets: in the middle of a group of pictures. */
const EDIT_MS = 520;

/** How much of a source an edit list hides at its begin. */
export function hiddenMs({ container, timing }: SourceSpec): number {
  if (container === "mp4-edit") return EDIT_MS;
  return timing === "t-1s" ? 1_000 : 0;
}

/** A file that was made. */
export interface MadeSource {
  readonly spec: SourceSpec;
  /** Its numbers and its sound are told from those of other seeds. */
  readonly seed: number;
  readonly path: string;
  readonly mimeType: string;
}

interface VideoEncoding {
  readonly codec: string;
  readonly args: readonly string[];
  readonly pixels?: string;
  /** Hidden reference pictures come from the second pass alone. */
  readonly isTwoPass?: boolean;
}

const X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20"];
const VPX = ["-b:v", "400k", "-deadline", "realtime", "-cpu-used", "8"];
const ALTREF = "-b:v 400k -deadline good -cpu-used 4 -auto-alt-ref 1 -lag-in-frames 25".split(" ");
const X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "20", "-x265-params"];
const AOM = "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 400k".split(" ");
/** Looks ahead, and so makes hidden pictures. */
const AOM_GOOD = "-c:v libaom-av1 -usage good -cpu-used 8 -lag-in-frames 16 -b:v 400k".split(" ");

const ENCODINGS: Readonly<Record<Exclude<VideoKind, "none">, VideoEncoding>> = {
  h264: { codec: "avc1", args: [...X264, "-tune", "zerolatency", "-bf", "0"] },
  "h264-b": { codec: "avc1", args: [...X264, "-bf", "3", "-x264-params", "b-pyramid=normal"] },
  "h264-open-gop": { codec: "avc1", args: [...X264, "-bf", "2", "-x264-params", "open-gop=1"] },
  "h264-slices": { codec: "avc1", args: [...X264, "-bf", "0", "-x264-params", "slices=4"] },
  "h264-tff": { codec: "avc1", args: [...X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1"] },
  "h264-bff": { codec: "avc1", args: [...X264, "-flags", "+ildct+ilme", "-x264-params", "bff=1"] },
  "h264-10bit": { codec: "avc1", args: [...X264, "-bf", "2"], pixels: "yuv420p10le" },
  "h264-444": { codec: "avc1", args: [...X264, "-bf", "0"], pixels: "yuv444p" },
  "h264-annexb3": {
    codec: "avc1",
    args: [...X264, "-bf", "0", "-x264-params", "slices=2:repeat-headers=1"],
  },
  "h264-annexb4": {
    codec: "avc1",
    args: [...X264, "-bf", "2", "-x264-params", "repeat-headers=1"],
  },
  hevc: { codec: "hvc1", args: [...X265, "log-level=error"] },
  "hevc-10bit": {
    codec: "hvc1",
    args: [...X265, "log-level=error:bframes=0"],
    pixels: "yuv420p10le",
  },
  vp8: { codec: "vp8", args: ["-c:v", "libvpx", ...VPX] },
  "vp8-alpha": {
    codec: "vp8",
    args: ["-c:v", "libvpx", ...VPX, "-auto-alt-ref", "0"],
    pixels: "yuva420p",
  },
  "vp8-altref": { codec: "vp8", args: ["-c:v", "libvpx", ...ALTREF], isTwoPass: true },
  vp9: { codec: "vp9", args: ["-c:v", "libvpx-vp9", ...VPX] },
  "vp9-alpha": {
    codec: "vp9",
    args: ["-c:v", "libvpx-vp9", ...VPX, "-auto-alt-ref", "0"],
    pixels: "yuva420p",
  },
  "vp9-altref": { codec: "vp9", args: ["-c:v", "libvpx-vp9", ...ALTREF], isTwoPass: true },
  // Its superframes are split when it is muxed: hidden pictures in blocks of their own.
  "vp9-split": { codec: "vp9", args: ["-c:v", "libvpx-vp9", ...ALTREF], isTwoPass: true },
  "vp9-10bit": { codec: "vp9", args: ["-c:v", "libvpx-vp9", ...VPX], pixels: "yuv420p10le" },
  "vp9-444": { codec: "vp9", args: ["-c:v", "libvpx-vp9", ...VPX], pixels: "yuv444p" },
  "av1-aom": { codec: "av01", args: AOM_GOOD },
  "av1-10bit": { codec: "av01", args: AOM, pixels: "yuv420p10le" },
  "av1-svt": { codec: "av01", args: ["-c:v", "libsvtav1", "-preset", "12", "-crf", "10"] },
  "av1-rav1e": { codec: "av01", args: ["-c:v", "librav1e", "-speed", "10", "-qp", "80"] },
};

const SOUND_CODECS: Readonly<Record<string, { encoder: string; mime: string; rate?: string }>> = {
  opus: { encoder: "libopus", mime: "opus" },
  aac: { encoder: "aac", mime: "mp4a.40.2" },
  vorbis: { encoder: "libvorbis", mime: "vorbis" },
  pcm: { encoder: "pcm_s16le", mime: "pcm" },
  flac: { encoder: "flac", mime: "flac" },
  mp3: { encoder: "libmp3lame", mime: "mp3" },
};

const FRAGMENTED: Readonly<Record<string, string>> = {
  "mp4-frag-key": "frag_keyframe+empty_moov+default_base_moof",
  "mp4-frag-every": "frag_every_frame+empty_moov+default_base_moof",
  "mp4-frag-time": "empty_moov+default_base_moof",
  "mp4-frag-negcts": "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets",
  "mp4-frag-omit": "frag_keyframe+empty_moov+omit_tfhd_offset",
  "mp4-frag-cmaf": "frag_keyframe+cmaf",
  "mp4-frag-dash": "frag_keyframe+dash",
  "mp4-frag-delay": "frag_keyframe+delay_moov+default_base_moof",
};

/** Makes files of a matrix; encodes each stream of pictures once. */
export class SourceMaker {
  readonly #directory: string;
  readonly #made = new Map<string, Promise<string>>();

  /** @param directory where everything is kept; it is the caller's to remove */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes a file, or returns the one that was made before. */
  async make(spec: SourceSpec, seed: number): Promise<MadeSource> {
    const path = await this.#once(`${sourceName(spec)}.${seed}`, () => this.#mux(spec, seed));
    return { spec, seed, path, mimeType: mimeTypeOf(spec) };
  }

  #once(name: string, make: () => Promise<string>): Promise<string> {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(name, made);
    return made;
  }

  async #mux(spec: SourceSpec, seed: number): Promise<string> {
    const { video, sound, container, timing } = spec;
    const name = `${sourceName(spec)}.${seed}`;
    const args: string[] = [];
    const maps: string[] = [];
    // ffmpeg stretches the first sample of a fragmented file; those are moved once they are there.
    const isMuxedLate = !container.startsWith("mp4-frag");
    const trim = container === "mp4-edit" ? ["-ss", String(EDIT_MS / 1_000)] : [];
    if (video !== "none") {
      if (isMuxedLate && timing === "late-picture")
        args.push("-itsoffset", String(LATE_MS / 1_000));
      args.push(...trim, "-i", await this.#pictures(spec, seed));
      maps.push("-map", "0:v", "-c:v", "copy");
      if (spec.shape.startsWith("rot"))
        maps.push("-metadata:s:v:0", `rotate=${spec.shape.slice(3)}`);
      if (codecOf(video) === "hevc" && container.startsWith("mp4")) maps.push("-tag:v", "hvc1");
    }
    if (sound !== "none") {
      const { channels, rate, codec } = soundOf(sound);
      if (isMuxedLate && timing === "late-sound") args.push("-itsoffset", String(LATE_MS / 1_000));
      const layout = ["mono", "stereo", "", "", "", "5.1"][channels - 1] ?? "";
      args.push("-f", "s16le", "-ar", String(rate), "-ac", String(channels));
      args.push("-channel_layout", layout, ...trim, "-i", await this.#samples(sound, seed));
      maps.push("-map", `${video === "none" ? 0 : 1}:a`, "-c:a", codec.encoder);
      if (sound.startsWith("opus")) maps.push("-b:a", `${64 * channels}k`);
      if (sound.startsWith("opus") && container === "mkv-fixed") maps.push("-vbr", "off");
      if (sound.startsWith("aac")) maps.push("-b:a", `${rate < 20_000 ? 48 : 80 * channels}k`);
      if (sound.startsWith("mp3")) maps.push("-b:a", rate < 20_000 ? "64k" : "128k");
    }
    if (isMuxedLate && timing === "t1h") maps.push("-output_ts_offset", "3600");
    return this.#write(spec, name, [...args, ...maps, "-strict", "-2"]);
  }

  async #write(spec: SourceSpec, name: string, args: readonly string[]): Promise<string> {
    const { container, timing } = spec;
    const path = join(this.#directory, name);
    if (container.startsWith("mp4")) {
      const flags = FRAGMENTED[container];
      const early = timing === "t-1s" ? ["-output_ts_offset", "-1"] : [];
      const movflags = flags ?? (container === "mp4-faststart" ? "faststart" : undefined);
      const options = [
        ...(movflags === undefined ? [] : ["-movflags", `+${movflags}`]),
        ...(container === "mp4-frag-time" ? ["-frag_duration", "400000"] : []),
        ...early,
      ];
      await run([...args, ...options, "-f", "mp4", path]);
      const shift = flags === undefined ? undefined : shiftOf(timing);
      if (shift !== undefined) {
        const bytes = Buffer.from(await Bun.file(path).arrayBuffer());
        shiftFragments(bytes, shift);
        await Bun.write(path, bytes);
      }
      return path;
    }
    const isLive = container.endsWith("-live") || container === "webm-unknown";
    const format = container.startsWith("webm") ? "webm" : "matroska";
    const options = isLive ? ["-live", "1"] : [];
    // Through a pipe, as a recorder writes: it cannot go back to fill in sizes and an index.
    if (isLive)
      await Bun.write(path, await runForOutput([...args, ...options, "-f", format, "pipe:1"]));
    else await run([...args, ...options, "-f", format, path]);
    const rewriting = rewritingOf(spec);
    if (rewriting !== undefined) {
      const source = Buffer.from(await Bun.file(path).arrayBuffer());
      await Bun.write(path, rewriteMatroska(source, rewriting));
    }
    return path;
  }

  /** A stream of pictures, encoded once for all files that hold it. */
  #pictures({ video, shape }: SourceSpec, seed: number): Promise<string> {
    if (video === "none") throw new Error("There are no pictures to encode");
    const name = `${video}_${shape}.${seed}`;
    return this.#once(name, async () => {
      const { args, pixels = "yuv420p", isTwoPass = false } = ENCODINGS[video];
      // NUT does not keep what is beside a picture, and transparency is.
      const path = join(this.#directory, `${name}.${video.endsWith("alpha") ? "mkv" : "nut"}`);
      const filters = [...filtersOf(shapeFilters(shape), isTwoPass), `format=${pixels}`].join(",");
      const input = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", `${COLUMNS}x${ROWS}`, "-r", "25"];
      const passing = ["-vsync", "passthrough"];
      const encode = [...input, "-i", "pipe:0", "-vf", filters, ...passing, "-g", "25", ...args];
      const frames = picturesOf(seed);
      if (isTwoPass) {
        const log = ["-passlogfile", join(this.#directory, name)];
        await run([...encode, "-pass", "1", ...log, "-f", "null", "-"], frames);
        await run([...encode, "-pass", "2", ...log, path], frames);
      } else {
        await run([...encode, path], frames);
      }
      return path;
    });
  }

  #samples(sound: string, seed: number): Promise<string> {
    const { channels, rate } = soundOf(sound);
    const name = `${rate}x${channels}.${seed}.pcm`;
    return this.#once(name, async () => {
      await mkdir(this.#directory, { recursive: true });
      const path = join(this.#directory, name);
      const count = Math.round((SOURCE_MS / 1_000) * rate);
      const samples = new Int16Array(count * channels);
      const gains = channelGains(channels);
      for (let i = 0; i < count; i += 1) {
        const value = soundAt(seed, (i * 1_000) / rate) * 32_000;
        for (const [channel, gain] of gains.entries()) {
          samples[i * channels + channel] = Math.round(value * gain);
        }
      }
      await Bun.write(path, samples);
      return path;
    });
  }
}

function shiftOf(timing: SourceSpec["timing"]): FragmentShift | undefined {
  switch (timing) {
    case "t1h":
      return { videoMs: 3_600_000, audioMs: 3_600_000 };
    case "late-picture":
      return { videoMs: LATE_MS, audioMs: 0 };
    case "late-sound":
      return { videoMs: 0, audioMs: LATE_MS };
    case "t0":
    case "t-1s":
      return undefined;
  }
}

interface ShapeFilters {
  readonly width: number;
  readonly height: number;
  readonly more: readonly string[];
}

function shapeFilters(shape: SourceSpec["shape"]): ShapeFilters {
  const plain = { width: 160, height: 96, more: [] };
  switch (shape) {
    // Coded lying: a player turns it clockwise, and then it stands upright.
    case "rot90":
      return { ...plain, more: ["transpose=clock"] };
    case "rot180":
      return { ...plain, more: ["hflip", "vflip"] };
    case "rot270":
      return { ...plain, more: ["transpose=cclock"] };
    case "sar2x1":
      return { ...plain, width: 80, more: ["setsar=2/1"] };
    case "sar3x4":
      return { ...plain, more: ["setsar=3/4"] };
    case "odd":
      return { width: 161, height: 97, more: [] };
    case "vfr":
      return { ...plain, more: ["select='gt(mod(n*7+4\\,11)\\,3)'"] };
    case "plain":
      return plain;
  }
}

/** Something that moves below the pattern: encoders make no hidden pictures of what stands still. */
const WAVES = "geq=lum='if(gt(Y,H*0.78),128+60*sin((X+3*N)/6)*cos((Y+2*N)/5),lum(X,Y))'";

function filtersOf({ width, height, more }: ShapeFilters, isMoving: boolean): string[] {
  return [`scale=${width}:${height}:flags=neighbor`, ...(isMoving ? [WAVES] : []), ...more];
}

function picturesOf(seed: number): Uint8Array<ArrayBuffer> {
  const count = SOURCE_MS / STEP_MS;
  const frames = new Uint8Array(count * COLUMNS * ROWS);
  for (let i = 0; i < count; i += 1) {
    frames.set(cellsOf(seed * NUMBERS_PER_SEED + i), i * COLUMNS * ROWS);
  }
  return frames;
}

function soundOf(kind: string): {
  channels: number;
  rate: number;
  codec: { encoder: string; mime: string };
} {
  const [name = "", channels, kiloHertz = "48k"] = kind.split("-");
  const codec = SOUND_CODECS[name];
  if (codec === undefined) throw new Error(`There is no sound ${kind}`);
  const rate = kiloHertz === "44k" ? 44_100 : Number(kiloHertz.replace("k", "000"));
  return { channels: Number(channels), rate, codec };
}

const codecOf = (kind: string): string => kind.split("-")[0] ?? kind;

function mimeTypeOf({ video, sound, container }: SourceSpec): string {
  const kind = video === "none" ? "audio" : "video";
  const prefix = container.split("-")[0] ?? "";
  const format = { webm: "webm", mkv: "x-matroska", mp4: "mp4" }[prefix] ?? prefix;
  const codecs = [
    ...(video === "none" ? [] : [ENCODINGS[video].codec]),
    ...(sound === "none" ? [] : [soundOf(sound).codec.mime]),
  ];
  return `${kind}/${format};codecs=${codecs.join(",")}`;
}

function rewritingOf({ video, container }: SourceSpec) {
  const startCodes = { "h264-annexb3": 3, "h264-annexb4": 4 } as const;
  const own = (() => {
    switch (container) {
      case "webm-unknown":
        return { isUnknownSize: true };
      case "mkv-crc":
        return { hasCrc: true, clusterMs: 500 };
      case "mkv-groups":
        return { isGrouped: true };
      case "mkv-xiph":
        return { lacing: "xiph" } as const;
      case "mkv-ebml":
        return { lacing: "ebml" } as const;
      case "mkv-fixed":
        return { lacing: "fixed" } as const;
      default:
        return undefined;
    }
  })();
  const isAnnexB = video === "h264-annexb3" || video === "h264-annexb4";
  const isSplit = video === "vp9-split";
  if (own === undefined && !isAnnexB && !isSplit) return undefined;
  return {
    ...own,
    ...(isSplit ? { isSplit } : {}),
    ...(isAnnexB ? { startCodeBytes: startCodes[video] } : {}),
  };
}

async function run(args: readonly string[], stdin?: Uint8Array<ArrayBuffer>): Promise<void> {
  await spawn(args, stdin);
}

function runForOutput(args: readonly string[]): Promise<ArrayBuffer> {
  return spawn(args, undefined);
}

async function spawn(
  args: readonly string[],
  stdin: Uint8Array<ArrayBuffer> | undefined,
): Promise<ArrayBuffer> {
  const child = Bun.spawn(["ffmpeg", "-v", "error", "-y", ...args], {
    stdin: stdin === undefined ? "ignore" : stdin,
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, SVT_LOG: "0" },
  });
  const [output, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).arrayBuffer(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (exitCode !== 0) throw new Error(`ffmpeg ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return output;
}
