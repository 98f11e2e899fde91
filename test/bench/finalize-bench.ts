import { copyFile, open, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { settleDisk } from "./settle-disk.ts";
import { median } from "./statistics.ts";
import { printTable } from "./table.ts";

/** Bytes of one second at 1.1 Mbps. */
const CHUNK_BYTES = 137_500;
const CHUNKS_PER_REQUEST = 16;

/** How the finalize bench is run. */
export interface FinalizeBenchOptions {
  readonly runs: number;
  /** Lengths of the recordings. */
  readonly minutes: readonly number[];
}

async function run(path: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  const child = Bun.spawn([path, "-v", "error", "-nostdin", "-y", ...args], { stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`ffmpeg ${args.join(" ")}: ${stderr}`);
  return performance.now() - startedAt;
}

/** One minute of 720p H.264 at 1.1 Mbps with Opus, repeated by copying: Matroska without cues. */
async function makeSource(ffmpeg: string, directory: string, minutes: number): Promise<string> {
  const minute = join(directory, "minute.mkv");
  const source = join(directory, `${minutes}.mkv`);
  await run(ffmpeg, [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=1280x720:rate=30",
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=440:sample_rate=48000",
    "-t",
    "60",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-tune",
    "zerolatency",
    "-b:v",
    "1000k",
    "-minrate",
    "1000k",
    "-maxrate",
    "1000k",
    "-bufsize",
    "500k",
    "-x264-params",
    "nal-hrd=cbr",
    "-c:a",
    "libopus",
    "-b:a",
    "96k",
    minute,
  ]);
  await run(ffmpeg, [
    "-stream_loop",
    String(minutes - 1),
    "-i",
    minute,
    "-c",
    "copy",
    "-f",
    "matroska",
    "-live",
    "1",
    source,
  ]);
  return source;
}

/** Uploads a file as chunks of a second, ends and stops; gives how long finalizing took, in ms. */
async function finalize(server: TrackCaptureServer, source: Buffer): Promise<number> {
  const api = new RecordingsApi(server.url);
  const recordingId = await api.start("bench");
  const segmentId = crypto.randomUUID();
  const chunkCount = Math.ceil(source.length / CHUNK_BYTES);
  for (let sequence = 0; sequence < chunkCount; sequence += CHUNKS_PER_REQUEST) {
    const chunks = Array.from(
      { length: Math.min(CHUNKS_PER_REQUEST, chunkCount - sequence) },
      (_, i) =>
        new Uint8Array(
          source.subarray((sequence + i) * CHUNK_BYTES, (sequence + i + 1) * CHUNK_BYTES),
        ),
    );
    await api.upload({
      recordingId,
      participantId: "bench",
      trackId: "camera",
      segmentId,
      sequence,
      mimeType: "video/x-matroska",
      chunks,
    });
  }
  await api.endSegment(recordingId, segmentId, chunkCount);
  await settleDisk();
  // The other contenders' source is in the page cache too.
  const segments = join(server.recordingsDirectory, recordingId, "segments");
  for (const name of await readdir(segments)) await readFile(join(segments, name));
  await api.stop(recordingId);
  const recording = await api.ready(recordingId);
  // Of the server itself: asking for it often would slow down what is measured.
  return Date.parse(recording.finalizedAt ?? "") - Date.parse(recording.stoppedAt ?? "");
}

/**
 * From `stop` to `ready`, with hashes checked, packets counted and everything synced, against a bare
 * `ffmpeg -c copy` with faststart and against `cp` of the same bytes, all in the same run.
 */
export async function benchFinalize(options: FinalizeBenchOptions): Promise<void> {
  const ffmpeg = await resolveFfmpeg(
    systemFfmpegLookup({
      FFMPEG_PATH: process.env["FFMPEG_PATH"],
      PATH: process.env["PATH"],
    }),
  );
  await using directory = await temporaryDirectory();
  await using server = await startServer({ env: { LOG_LEVEL: "warn" } });
  const rows: string[][] = [];
  for (const minutes of options.minutes) {
    const path = await makeSource(ffmpeg.path, directory.path, minutes);
    const source = await readFile(path);
    const turns: Turn[] = [];
    for (let turn = 0; turn < options.runs; turn += 1) {
      turns.push(await runTurn(ffmpeg.path, directory.path, path, server, source));
    }
    const of = (figure: (turn: Turn) => number): number => median(turns.map(figure));
    rows.push([
      String(minutes),
      (source.length / 1e6).toFixed(0),
      of(({ copyMs }) => copyMs).toFixed(0),
      of(({ bareMs }) => bareMs).toFixed(0),
      of(({ bareAndSyncMs }) => bareAndSyncMs).toFixed(0),
      of(({ finalizeMs }) => finalizeMs).toFixed(0),
      of(({ finalizeMs, bareMs }) => finalizeMs / bareMs).toFixed(2),
      of(({ finalizeMs, bareAndSyncMs }) => finalizeMs / bareAndSyncMs).toFixed(2),
    ]);
  }
  printTable(
    `Finalize: 1.1 Mbps H.264 + Opus, ffmpeg of ${ffmpeg.source}, ${ffmpeg.version}, medians of ${options.runs} runs`,
    [
      "minutes",
      "MB",
      "cp ms",
      "bare ffmpeg ms",
      "bare + fsync ms",
      "finalize ms",
      "of bare",
      "of bare + fsync",
    ],
    rows,
  );
}

/** What each contender took in one turn. */
interface Turn {
  readonly copyMs: number;
  readonly bareMs: number;
  readonly bareAndSyncMs: number;
  readonly finalizeMs: number;
}

async function runTurn(
  ffmpeg: string,
  directory: string,
  path: string,
  server: TrackCaptureServer,
  source: Buffer,
): Promise<Turn> {
  await settleDisk();
  const copyStartedAt = performance.now();
  await copyFile(path, join(directory, "copy"));
  const copyMs = performance.now() - copyStartedAt;
  await settleDisk();
  const output = join(directory, "bare.mp4");
  const bareMs = await run(ffmpeg, [
    "-i",
    path,
    "-map",
    "0",
    "-c",
    "copy",
    "-strict",
    "-2",
    "-movflags",
    "+faststart",
    output,
  ]);
  const syncStartedAt = performance.now();
  const handle = await open(output, "r+");
  await handle.sync();
  await handle.close();
  const bareAndSyncMs = bareMs + performance.now() - syncStartedAt;
  return { copyMs, bareMs, bareAndSyncMs, finalizeMs: await finalize(server, source) };
}
