/** What ffmpeg shows of a file: the judge's eyes and ears. It shares no code with the product. */
import { rm } from "node:fs/promises";

/** Every picture is looked at in this size, whatever its own. */
const LOOK = { width: 160, height: 96 };

/** Sound is listened to at this rate, after a mix to one channel. */
export const LISTEN_RATE = 8_000;

/** A picture as a player shows it: turned upright. */
export interface ShownPicture {
  /** In the file's own time, edit lists applied. */
  readonly ms: number;
  /** In pixels, turned upright, before its pixels' shape is applied. */
  readonly width: number;
  readonly height: number;
  /** Width of a pixel to its height, turned upright; 1 where nothing says otherwise. */
  readonly pixelAspect: number;
  readonly look: Look;
}

/** Brightness only. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Sound as a player gives it, of the first stream. */
export interface HeardSound {
  /** When `samples` begin. */
  readonly fromMs: number;
  /** All channels in one, at `LISTEN_RATE`; zero where the file gives nothing. */
  readonly samples: Float32Array;
  /** Root of the mean square of each channel. */
  readonly channelLevels: readonly number[];
}

/** A decoded file. */
export interface Decoded {
  readonly pictures: readonly ShownPicture[];
  readonly sound: HeardSound | undefined;
  /** Of ffmpeg, its lines of level error. */
  readonly complaints: readonly string[];
}

// Where sizes change, ffmpeg builds its filters anew and they count from zero; writers want times that rise.
const ANY_TIME = "settb=1/1000000,setpts=RTCTIME";

/** The kinds of stream of which the first is decoded. */
interface Kinds {
  readonly video: boolean;
  readonly audio: boolean;
}

/** Decodes a file as far as ffmpeg can; nothing at all is no error. */
export async function decodeFile(
  path: string,
  look: Omit<Look, "pixels"> = LOOK,
): Promise<Decoded> {
  // Most have both: ffmpeg says so itself, without a run of ffprobe before it.
  const both = { video: true, audio: true };
  const { decoded, found } = await decodeKinds(path, both, look);
  if (found.video && found.audio) return decoded;
  if (!found.video && !found.audio) return { pictures: [], sound: undefined, complaints: [] };
  return (await decodeKinds(path, found, look)).decoded;
}

async function decodeKinds(
  path: string,
  kinds: Kinds,
  look: Omit<Look, "pixels">,
): Promise<{ readonly decoded: Decoded; readonly found: Kinds }> {
  const soundPath = `${path}.${crypto.randomUUID()}.wav`;
  const args = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-y", "-copyts"];
  args.push("-i", path);
  if (kinds.video) {
    const filters = `showinfo=checksum=0,scale=${look.width}:${look.height}:flags=area,format=gray,${ANY_TIME}`;
    args.push("-map", "0:v:0", "-vf", filters, "-vsync", "passthrough");
    args.push("-enc_time_base", "1:1000000", "-f", "rawvideo", "pipe:1");
  }
  // Unlike raw samples, ffmpeg puts those in WAVE behind each other, whatever their times are.
  if (kinds.audio) args.push("-map", "0:a:0", "-af", "ashowinfo", "-c:a", "pcm_f32le", soundPath);
  const child = Bun.spawn(["ffmpeg", ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  try {
    const [output, log] = await Promise.all([
      new Response(child.stdout).bytes(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    const lines = log.split("\n");
    const file = Bun.file(soundPath);
    const heard = kinds.audio && (await file.exists()) ? await file.bytes() : undefined;
    const decoded = {
      pictures: picturesFrom(output, lines, look),
      sound: heard === undefined ? undefined : soundFrom(heard, lines),
      complaints: lines.filter((line) => /\[(error|fatal|panic)\]/.test(line)),
    };
    const found = {
      video: lines.some((line) => /  Stream #0:\d+.*: Video:/.test(line)),
      audio: lines.some((line) => /  Stream #0:\d+.*: Audio:/.test(line)),
    };
    return { decoded, found };
  } finally {
    await rm(soundPath, { force: true });
  }
}

// `pts_time` has only six digits: an hour is too long for it.
const PICTURE_LINE =
  /Parsed_showinfo\S* @ [^\]]*\].* pts: *(-?\d+) .* sar:(\d+)\/(\d+) s:(\d+)x(\d+)/;
const TIME_BASE_LINE = /Parsed_showinfo.*config in time_base: (\d+)\/(\d+)/;

function picturesFrom(
  output: Uint8Array,
  lines: readonly string[],
  { width, height }: Omit<Look, "pixels">,
): ShownPicture[] {
  const bytes = width * height;
  let tickMs = 0;
  return lines
    .flatMap((line) => {
      const base = TIME_BASE_LINE.exec(line);
      if (base !== null) tickMs = (Number(base[1]) * 1_000) / Number(base[2]);
      const match = PICTURE_LINE.exec(line);
      if (match === null) return [];
      const [ticks = 0, ...shape] = match.slice(1).map(Number);
      return [[ticks * tickMs, ...shape]];
    })
    .slice(0, Math.floor(output.length / bytes))
    .map(([ms = 0, sarWidth = 0, sarHeight = 0, ownWidth = 0, ownHeight = 0], i) => ({
      ms,
      width: ownWidth,
      height: ownHeight,
      pixelAspect: sarWidth > 0 && sarHeight > 0 ? sarWidth / sarHeight : 1,
      look: { width, height, pixels: output.subarray(i * bytes, (i + 1) * bytes) },
    }));
}

const SOUND_LINE =
  /Parsed_ashowinfo\S* @ [^\]]*\].* pts:(-?\d+) .*channels:(\d+) .*rate:(\d+) nb_samples:(\d+)/;

/** Packets whose times are less apart follow each other. */
const SEAM_MS = 8;

/** `data` and the length of what follows. */
const DATA_HEADER_BYTES = 8;

/** Puts each packet's samples where its time says, since a file's sound may have holes. */
function soundFrom(wave: Uint8Array, lines: readonly string[]): HeardSound | undefined {
  const dataAt = Buffer.from(wave.buffer).indexOf("data") + DATA_HEADER_BYTES;
  const samples = new Float32Array(
    wave.slice(dataAt, dataAt + 4 * ((wave.length - dataAt) >> 2)).buffer,
  );
  const packets = lines.flatMap((line) => {
    const match = SOUND_LINE.exec(line);
    if (match === null) return [];
    const [ticks = 0, channels = 0, rate = 0, count = 0] = match.slice(1).map(Number);
    return [{ ms: (ticks * 1_000) / rate, channels, rate, count }];
  });
  const [first] = packets;
  if (first === undefined) return undefined;
  const fromMs = Math.min(...packets.map(({ ms }) => ms));
  const endMs = Math.max(...packets.map(({ ms, count, rate }) => ms + (count * 1_000) / rate));
  const mixed = new Float32Array(Math.ceil(((endMs - fromMs) * LISTEN_RATE) / 1_000));
  // ffmpeg makes all of the first one's channels, whatever the following have.
  const { channels, rate: rawRate } = first;
  const squares = Array.from({ length: channels }, () => 0);
  let at = 0;
  let nextMs = fromMs;
  for (const { ms, count: ownCount, rate } of packets) {
    // ffmpeg keeps to the first rate, whatever the following have.
    const count = Math.round((ownCount * rawRate) / rate);
    // Times are rounded, as to milliseconds in Matroska: packets follow each other without a seam.
    const beginMs = Math.abs(ms - nextMs) <= SEAM_MS ? nextMs : ms;
    nextMs = beginMs + (count * 1_000) / rawRate;
    const begin = Math.round(((beginMs - fromMs) * LISTEN_RATE) / 1_000);
    const listened = Math.round((count * LISTEN_RATE) / rawRate);
    for (let i = 0; i < listened; i += 1) {
      mixed[begin + i] = mixAt(samples, at + (i * rawRate) / LISTEN_RATE, channels, at + count);
    }
    for (let i = at; i < at + count; i += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        squares[channel] = (squares[channel] ?? 0) + (samples[i * channels + channel] ?? 0) ** 2;
      }
    }
    at += count;
  }
  const channelLevels = squares.map((sum) => Math.sqrt(sum / Math.max(1, at)));
  return { fromMs, samples: mixed, channelLevels };
}

/** The sum of all channels at a place between two samples. */
function mixAt(samples: Float32Array, place: number, channels: number, end: number): number {
  const index = Math.floor(place);
  const share = place - index;
  let sum = 0;
  for (let channel = 0; channel < channels; channel += 1) {
    const one = samples[index * channels + channel] ?? 0;
    const other = samples[Math.min(index + 1, end - 1) * channels + channel] ?? 0;
    sum += one * (1 - share) + other * share;
  }
  return sum;
}
