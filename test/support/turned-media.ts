import { join } from "node:path";
import {
  ALL_FORMATS,
  BlobSource,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  FilePathTarget,
  Input,
  MkvOutputFormat,
  Output,
} from "mediabunny";
import { decode, judgeFfmpeg } from "./judge-ffmpeg.ts";

/** How a picture is stored and what its container says of it, so that it is seen as it was. */
export interface TurnedSource {
  /** Clockwise, after the mirroring. */
  readonly rotation?: 0 | 90 | 180 | 270;
  readonly isMirrored?: boolean;
  /** Width of a stored pixel for its height, such as `2/1`. */
  readonly pixelAspect?: string;
  readonly encoder?: "libx264" | "libvpx" | "libvpx-vp9" | "libaom-av1";
  readonly container?: "mp4" | "mkv";
  /** Of the scene, upright and with square pixels. */
  readonly width?: number;
  readonly height?: number;
}

export const SCENE_SECONDS = 3;
const SCENE_RATE = 15;
export const SCENE_SIZE = { width: 320, height: 180 };

/** A picture as it is seen: upright, with square pixels. */
export interface SeenPicture {
  readonly width: number;
  readonly height: number;
  /** `COMPARED` pixels of brightness, row by row. */
  readonly gray: Uint8Array;
}

const COMPARED = { width: 64, height: 64 };

/**
 * Whether the judging ffmpeg can encode AV1 in time; says so on stderr where it cannot. Builds before 4.4
 * have no `-usage` of libaom, without which a second takes a minute.
 */
export async function canEncodeAv1(): Promise<boolean> {
  const { path } = await judgeFfmpeg();
  const { stdout } = Bun.spawnSync([path, "-hide_banner", "-h", "encoder=libaom-av1"]);
  const isThere = stdout.toString().includes("-usage ");
  if (!isThere) process.stderr.write(`${path} has no fast libaom-av1: AV1 is not tried\n`);
  return isThere;
}

/** A moving scene of `SCENE_SECONDS` without any symmetry, that is stored turned. Gives its path. */
export async function turnedMedia(
  directory: string,
  name: string,
  source: TurnedSource,
): Promise<string> {
  const { rotation = 0, isMirrored = false, pixelAspect = "1/1" } = source;
  const { encoder = "libx264", container = "mp4", width, height } = { ...SCENE_SIZE, ...source };
  const back = { 0: "null", 90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock" };
  const stored = [back[rotation], isMirrored ? "hflip" : "null"];
  const squeeze = `scale=w=iw/max(1\\,${pixelAspect}):h=ih*min(1\\,${pixelAspect}),setsar=${pixelAspect}`;
  const graph = [sceneGraph({ width, height }), "format=rgb24", ...stored, squeeze].join(",");
  const plain = join(directory, `${name}-plain.${container}`);
  const { path: ffmpeg } = await judgeFfmpeg();
  const encoding = {
    libx264: "-preset ultrafast -bf 0",
    libvpx: "-deadline realtime -b:v 2M",
    "libvpx-vp9": "-deadline realtime -b:v 2M",
    "libaom-av1": "-cpu-used 8 -usage realtime -b:v 2M",
  }[encoder];
  const args = `-v error -nostdin -y -f lavfi -i ${graph} -t ${SCENE_SECONDS} -c:v ${encoder}`;
  const options = `${encoding} -pix_fmt yuv420p -g ${SCENE_RATE} -strict -2`;
  const child = Bun.spawn([ffmpeg, ...`${args} ${options}`.split(" "), plain], {
    stderr: "inherit",
  });
  if ((await child.exited) !== 0) throw new Error(`${name} was not made`);
  if (rotation === 0 && !isMirrored) return plain;
  const path = join(directory, `${name}.${container}`);
  if (container === "mp4") await turnMp4(plain, path, source);
  else await turnMatroska(plain, path, source);
  return path;
}

/** Where the axes of a stored picture point to. */
function axesOf({ rotation = 0, isMirrored = false }: TurnedSource): number[] {
  const c = { 0: 0, 90: -1, 180: 0, 270: 1 }[rotation];
  const d = { 0: 1, 90: 0, 180: -1, 270: 0 }[rotation];
  const sign = isMirrored ? -1 : 1;
  return [d * sign, -c * sign, c, d].map((value) => (value === 0 ? 0 : value));
}

/** Writes the matrix of the only track. */
async function turnMp4(from: string, to: string, source: TurnedSource): Promise<void> {
  const bytes = Buffer.from(await Bun.file(from).bytes());
  const at = bytes.indexOf("tkhd") + 4 + 40;
  const [a = 0, b = 0, c = 0, d = 0] = axesOf(source);
  for (const [i, value] of [a, b, 0, c, d, 0, 0, 0].entries()) {
    bytes.writeInt32BE(value * 0x10000, at + 4 * i);
  }
  await Bun.write(to, bytes);
}

async function turnMatroska(from: string, to: string, source: TurnedSource): Promise<void> {
  using input = new Input({ formats: ALL_FORMATS, source: new BlobSource(Bun.file(from)) });
  const track = await input.getPrimaryVideoTrack();
  if (track === null) throw new Error("There is no picture");
  const codec = await track.getCodec();
  const decoderConfig = await track.getDecoderConfig();
  if (codec === null || decoderConfig === null) throw new Error("The picture cannot be read");
  const output = new Output({ format: new MkvOutputFormat(), target: new FilePathTarget(to) });
  const pictures = new EncodedVideoPacketSource(codec);
  const [a = 0, b = 0, c = 0, d = 0] = axesOf(source);
  output.addVideoTrack(pictures, { transformationMatrix: [a, b, 0, c, d, 0, 0, 0, 1] });
  await output.start();
  for await (const packet of new EncodedPacketSink(track).packets()) {
    await pictures.add(packet, { decoderConfig });
  }
  await output.finalize();
}

function sceneGraph({ width, height }: { width: number; height: number }): string {
  return `testsrc2=s=${width}x${height}:r=${SCENE_RATE}`;
}

/** A part of a picture in square pixels, as ffmpeg's `crop` takes it. */
interface Cropped {
  readonly crop?: string;
}

/** The scene itself at a time of it. */
export async function scenePicture(
  atMs: number,
  size = SCENE_SIZE,
  cropped: Cropped = {},
): Promise<SeenPicture> {
  return look(sceneGraph(size), { atMs, turns: [], inputOptions: ["-f", "lavfi"], ...cropped });
}

/**
 * What a viewer sees of a file at a time. What its container says is read by mediabunny, so that builds
 * of ffmpeg that heed less of it can judge too.
 */
export async function seenPicture(
  path: string,
  atMs: number,
  cropped: Cropped = {},
): Promise<SeenPicture> {
  using input = new Input({ formats: ALL_FORMATS, source: new BlobSource(Bun.file(path)) });
  const track = await input.getPrimaryVideoTrack();
  if (track === null) throw new Error(`${path} has no picture`);
  const turns = { 0: "null", 90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock" };
  const rotation = await track.getRotation();
  const filters = [turns[rotation], (await track.getFlip()) ? "hflip" : "null"];
  return look(path, { atMs, turns: filters, inputOptions: ["-noautorotate"], ...cropped });
}

/** What a viewer sees of a JPEG. */
export async function seenStill(path: string): Promise<SeenPicture> {
  return look(path, { atMs: 0, turns: [], inputOptions: ["-noautorotate"] });
}

interface Look extends Cropped {
  readonly atMs: number;
  readonly turns: readonly string[];
  readonly inputOptions: readonly string[];
}

async function look(input: string, wanted: Look): Promise<SeenPicture> {
  const { atMs, turns, inputOptions, crop } = wanted;
  const square = "scale=w=round(iw*max(1\\,sar)):h=round(ih/min(1\\,sar))";
  const compared = `scale=${COMPARED.width}:${COMPARED.height}:flags=area,format=gray`;
  const pick = `select=gte(t\\,${(atMs - 1) / 1_000})`;
  const filters = [pick, ...turns, square, "setsar=1"];
  if (crop !== undefined) filters.push(`crop=${crop}`);
  filters.push("showinfo", compared);
  const output = ["-an", "-vf", filters.join(","), "-frames:v", "1", "-f", "rawvideo"];
  const { bytes, log } = await decode(await judgeFfmpeg(), input, output, inputOptions);
  const [, width, height] = / s:(\d+)x(\d+) /.exec(log) ?? [];
  return { width: Number(width), height: Number(height), gray: bytes };
}

/** Mean difference of brightness, of 255: turned or squeezed pictures are above 30, the same below 10. */
export function differenceOf(one: SeenPicture, other: SeenPicture): number {
  if (one.gray.length !== other.gray.length || one.gray.length === 0) return 255;
  let sum = 0;
  for (const [i, value] of one.gray.entries()) sum += Math.abs(value - (other.gray[i] ?? 0));
  return sum / one.gray.length;
}
