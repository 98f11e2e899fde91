import { join } from "node:path";
import {
  BEEP_AMPLITUDE,
  BEEP_MS,
  CODE_COLUMNS,
  CODE_HEIGHT_SHARE,
  CODE_ROWS,
  FLASH_MS,
  blocksOf,
  isMarked,
} from "../fixtures/clock-code.ts";
import { judgeFfmpeg, passThroughOption } from "./judge-ffmpeg.ts";

const SAMPLES_PER_SECOND = 48_000;
const FRAMES_PER_SECOND = 30;
const WHITE = 235;
const BLACK = 16;

/** A file that is made by ffmpeg alone, whose errors are known. */
export interface SyntheticClock {
  readonly path: string;
  readonly width: number;
  readonly height: number;
  /** What its first picture shows, in milliseconds since the epoch. */
  readonly beginMs: number;
  readonly durationMs: number;
  readonly source: number;
  readonly beepHz: number;
  /** By how much the sound is late. */
  readonly soundLateMs: number;
  /** By how much all of it begins behind the file's zero. */
  readonly offsetMs: number;
}

/** Makes an MP4 of the common clock, as a canvas and a microphone without any delay would give it. */
export async function makeSyntheticClock(clock: SyntheticClock): Promise<void> {
  const ffmpeg = await judgeFfmpeg();
  const [picturesPath, soundPath] = [`${clock.path}.gray`, `${clock.path}.f32`];
  await Bun.write(picturesPath, picturesOf(clock));
  await Bun.write(soundPath, soundOf(clock));
  const pictures = `-f rawvideo -pix_fmt gray -s ${clock.width}x${clock.height}`;
  // Gray is taken for full range otherwise, and stretched.
  const filter = "-vf scale=in_range=limited:out_range=limited,format=yuv420p";
  const argv = [
    ffmpeg.path,
    ..."-v error -nostdin -y".split(" "),
    ...`-itsoffset ${clock.offsetMs / 1000}`.split(" "),
    ...`${pictures} -framerate ${FRAMES_PER_SECOND}`.split(" "),
    "-i",
    picturesPath,
    ...`-itsoffset ${(clock.offsetMs + clock.soundLateMs) / 1000}`.split(" "),
    ...`-f f32le -ar ${SAMPLES_PER_SECOND} -ac 1`.split(" "),
    "-i",
    soundPath,
    ...`${filter} -c:v libx264 -preset ultrafast -c:a aac`.split(" "),
    ...passThroughOption(ffmpeg),
    clock.path,
  ];
  const child = Bun.spawn(argv, { stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`ffmpeg failed:\n${stderr}`);
}

/** A path of its own in a directory. */
export function syntheticPath(directory: string): string {
  return join(directory, `${Bun.randomUUIDv7()}.mp4`);
}

function picturesOf(clock: SyntheticClock): Uint8Array {
  const count = Math.floor((clock.durationMs * FRAMES_PER_SECOND) / 1000);
  const pixels = new Uint8Array(count * clock.width * clock.height);
  for (let frame = 0; frame < count; frame += 1) {
    const timeMs = clock.beginMs + Math.floor((frame * 1000) / FRAMES_PER_SECOND);
    drawPicture(
      pixels.subarray(frame * clock.width * clock.height, (frame + 1) * clock.width * clock.height),
      clock,
      timeMs,
    );
  }
  return pixels;
}

function drawPicture(
  pixels: Uint8Array,
  { width, height, source }: Pick<SyntheticClock, "width" | "height" | "source">,
  timeMs: number,
): void {
  const blocks = blocksOf({ timeMs, source });
  const codeHeight = height * CODE_HEIGHT_SHARE;
  const flash = isMarked(timeMs, FLASH_MS) ? WHITE : BLACK;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const row = Math.floor((y / codeHeight) * CODE_ROWS);
      const column = Math.floor((x / width) * CODE_COLUMNS);
      const block = blocks[row * CODE_COLUMNS + column] === true ? WHITE : BLACK;
      pixels[y * width + x] = row < CODE_ROWS ? block : flash;
    }
  }
}

function soundOf(clock: SyntheticClock): Uint8Array {
  const samples = new Float32Array((clock.durationMs * SAMPLES_PER_SECOND) / 1000);
  for (let i = 0; i < samples.length; i += 1) {
    const timeMs = clock.beginMs + (i * 1000) / SAMPLES_PER_SECOND;
    const angle = (2 * Math.PI * clock.beepHz * i) / SAMPLES_PER_SECOND;
    samples[i] = isMarked(timeMs, BEEP_MS) ? BEEP_AMPLITUDE * Math.sin(angle) : 0;
  }
  return new Uint8Array(samples.buffer);
}
