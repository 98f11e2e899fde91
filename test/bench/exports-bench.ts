import { cpus } from "node:os";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { participantIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { type ExportRequest, exportRequestSchema } from "../../src/contract/exports.ts";
import { findNamesFont } from "../../src/exports/composite/names-font.ts";
import type { ExportContext, ExportTrack } from "../../src/exports/export-maker.ts";
import { makeExport } from "../../src/exports/make-export.ts";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import { makePoster } from "../../src/finalize/poster.ts";
import { measureWaveform } from "../../src/finalize/waveform.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { settleDisk } from "./settle-disk.ts";
import { median } from "./statistics.ts";
import { printTable } from "./table.ts";

/** How the exports bench is run. */
export interface ExportsBenchOptions {
  readonly runs: number;
  /** Length of the recording. */
  readonly seconds: number;
}

/** What participants send; browsers give VP9 or H.264. */
interface Sending {
  readonly size: "640x360" | "1280x720";
  readonly codec: "vp9" | "h264";
}

const SENDINGS: readonly Sending[] = [
  { size: "640x360", codec: "vp9" },
  { size: "640x360", codec: "h264" },
  { size: "1280x720", codec: "vp9" },
  { size: "1280x720", codec: "h264" },
];

const PARTICIPANTS = 4;

/** Length of what is encoded and then repeated by copying. */
const SOURCE_SECONDS = 10;

/** One of them comes after a fifth of the call and leaves after three fifths. */
const LATE_SHARE = 0.2;
const EARLY_SHARE = 0.6;

/** What a kind of export does with a recording. */
interface ExportKind {
  readonly name: string;
  readonly make: (context: ExportContext) => Promise<unknown>;
}

/** What the API makes when it is asked for a kind and nothing else. */
function asked(kind: ExportRequest["kind"]): ExportKind {
  const request = exportRequestSchema.parse({ kind });
  return { name: kind, make: (context) => makeExport(request, context) };
}

const KINDS: readonly ExportKind[] = [
  asked("composite"),
  asked("aligned"),
  asked("compatible"),
  asked("audio"),
  {
    name: "posters",
    make: async (context) => {
      for (const [i, { path, media }] of context.tracks.entries()) {
        const output = join(context.workDirectory, `${i}.jpg`);
        await makePoster(path, media.durationMs, output, context);
      }
    },
  },
  {
    name: "waveforms",
    make: async (context) => {
      for (const { path, media } of context.tracks) {
        await measureWaveform(path, media.durationMs, context);
      }
    },
  },
];

/**
 * Time per kind of export of a call of four participants, one of whom comes late and leaves early, as
 * times faster than real time; for each of what browsers send, in one run.
 */
export async function benchExports(options: ExportsBenchOptions): Promise<void> {
  const ffmpeg = await judgeFfmpeg();
  const confinement = await findFfmpegConfinement();
  await using directory = await temporaryDirectory();
  const rows: string[][] = [];
  for (const sending of SENDINGS) {
    const tracks = await callOf(directory.path, sending, options.seconds);
    for (const { name, make } of KINDS) {
      const tookMs: number[] = [];
      for (let turn = 0; turn < options.runs; turn += 1) {
        const workDirectory = join(directory.path, "work");
        await mkdir(workDirectory);
        await settleDisk();
        const startedAt = performance.now();
        await make({
          durationMs: options.seconds * 1_000,
          tracks,
          workDirectory,
          ffmpeg,
          confinement,
          limits: finalizeLimits(readConfig({})),
          namesFont: await findNamesFont(""),
          signal: new AbortController().signal,
          onProgress: () => {},
        });
        tookMs.push(performance.now() - startedAt);
        await rm(workDirectory, { recursive: true });
      }
      const ms = median(tookMs);
      rows.push([
        `${sending.size} ${sending.codec}`,
        name,
        ms.toFixed(0),
        ((options.seconds * 1_000) / ms).toFixed(1),
      ]);
    }
  }
  printTable(
    `Exports: 4 participants, ${options.seconds} s, ffmpeg of ${ffmpeg.source}, ${ffmpeg.version}, ` +
      `${cpus().length} cores, medians of ${options.runs} runs`,
    ["they send", "made", "ms", "times real time"],
    rows,
  );
}

/** Four tracks: three of the whole call, and one of a part of it. */
async function callOf(
  directory: string,
  sending: Sending,
  seconds: number,
): Promise<readonly ExportTrack[]> {
  const tracks: ExportTrack[] = [];
  const whole = await makeSource(directory, sending);
  for (let i = 0; i < PARTICIPANTS; i += 1) {
    const isGuest = i === PARTICIPANTS - 1;
    const offsetMs = isGuest ? seconds * LATE_SHARE * 1_000 : 0;
    const endMs = isGuest ? seconds * EARLY_SHARE * 1_000 : seconds * 1_000;
    const path = join(directory, `${sending.size}-${sending.codec}-${i}.mp4`);
    await ffmpegDone(
      ["-stream_loop", "-1", "-i", whole, "-t", String((endMs - offsetMs) / 1_000)].concat([
        "-c",
        "copy",
        "-strict",
        "-2",
        path,
      ]),
    );
    const [width = 0, height = 0] = sending.size.split("x").map(Number);
    tracks.push({
      participantId: participantIdSchema.parse(`participant-${i}@example.org`),
      trackId: trackIdSchema.parse("camera"),
      path,
      media: {
        bytes: Bun.file(path).size,
        durationMs: endMs - offsetMs,
        videoCodec: sending.codec,
        audioCodec: "opus",
        width,
        height,
        videoPackets: 0,
        audioPackets: 0,
        action: "copy",
        actionReason: "",
        publishedAtMs: 0,
      },
      timeline: { offsetMs, durationMs: endMs - offsetMs, segments: [], gaps: [] },
    });
  }
  return tracks;
}

/** Moving pictures with a camera's noise, at a call's bit rate, with a keyframe every two seconds. */
async function makeSource(directory: string, { size, codec }: Sending): Promise<string> {
  const path = join(directory, `${size}-${codec}.mp4`);
  const encoder =
    codec === "vp9"
      ? "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -row-mt 1"
      : "-c:v libx264 -preset superfast -tune zerolatency -bf 0";
  const bits = size === "1280x720" ? "1500k" : "700k";
  await ffmpegDone(
    [
      "-f",
      "lavfi",
      "-i",
      `testsrc2=size=${size}:rate=30,noise=alls=4:allf=t,format=yuv420p`,
    ].concat(
      ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"],
      ["-t", String(SOURCE_SECONDS), ...encoder.split(" "), "-b:v", bits, "-g", "60"],
      ["-c:a", "libopus", "-b:a", "64k", "-strict", "-2", path],
    ),
  );
  return path;
}

async function ffmpegDone(args: readonly string[]): Promise<void> {
  const { path } = await judgeFfmpeg();
  const child = Bun.spawn([path, "-v", "error", "-nostdin", "-y", ...args], { stderr: "inherit" });
  if ((await child.exited) !== 0) throw new Error(`ffmpeg failed: ${args.join(" ")}`);
}
