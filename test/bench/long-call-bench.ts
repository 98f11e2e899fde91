import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { ExportsApi } from "../support/exports-api.ts";
import { writeLongRecording, writeSourceFile } from "../support/looped-recording.ts";
import { expectLongMp4 } from "../support/long-mp4.ts";
import { loopedMedia, type LoopedMedia } from "../support/looped-media.ts";
import { MemoryWatch } from "../support/memory-watch.ts";
import { RecordingsApi, type TrackName } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { settleDisk } from "./settle-disk.ts";
import { printTable } from "./table.ts";

const BITS_PER_SECOND = 1_100_000;
const FINALIZE_TIMEOUT_MS = 1_800_000;

/** Which contender `finalize` is held against; the product's MP4 has its index in front, too. */
const PLAIN = "-c copy";
const FASTSTART = "-c copy -movflags +faststart";

/** What one length of a call came to. */
interface Figures {
  readonly sourceBytes: number;
  readonly plainMs: number;
  readonly plainAndSyncMs: number;
  readonly faststartMs: number;
  readonly finalizeMs: number;
  readonly idleBytes: number;
  readonly peakBytes: number;
  readonly alignedMs: number;
  readonly alignedPeakBytes: number;
}

/**
 * Finalizes calls of hours, each one track and one segment, by a server that found them when it
 * started; against bare ffmpeg on the same bytes in the same run. Throws when an MP4 is not right.
 *
 * @param options.lostPackets of sound in each call: with any, the MP4 is made in two passes
 */
export async function benchLongCall(options: {
  readonly hours: readonly number[];
  readonly lostPackets: number;
}): Promise<void> {
  const rows: string[][] = [];
  for (const hours of options.hours) {
    const media = await loopedMedia({
      durationMs: hours * 3_600_000,
      bitsPerSecond: BITS_PER_SECOND,
      lostPackets: options.lostPackets,
    });
    const figures = await measure(media);
    const gigabytes = figures.sourceBytes / 1e9;
    rows.push([
      String(hours),
      gigabytes.toFixed(2),
      ...[figures.plainMs, figures.plainAndSyncMs, figures.faststartMs, figures.finalizeMs].map(
        (ms) => (ms / 1000).toFixed(1),
      ),
      ...[figures.plainMs, figures.plainAndSyncMs, figures.faststartMs].map((ms) =>
        (figures.finalizeMs / ms).toFixed(2),
      ),
      ...[figures.idleBytes, figures.peakBytes].map((bytes) => (bytes / 1e6).toFixed(0)),
      (figures.alignedMs / 1000).toFixed(1),
      (figures.alignedPeakBytes / 1e6).toFixed(0),
    ]);
  }
  printTable(
    `Long calls: one track of H.264 and Opus at 1.1 Mbps, ${options.lostPackets} packets of sound lost; bare ffmpeg: -f matroska, ${PLAIN}; faststart: ${FASTSTART}`,
    [
      "hours",
      "GB",
      "bare s",
      "bare + fsync s",
      "faststart s",
      "finalize s",
      "of bare",
      "of bare + fsync",
      "of faststart",
      "idle RSS MB",
      "peak RSS MB, server + ffmpeg",
      "aligned s",
      "aligned peak RSS MB",
    ],
    rows,
  );
}

async function measure(media: LoopedMedia): Promise<Figures> {
  await using directory = await temporaryDirectory();
  const sourcePath = join(directory.path, "source.mkv");
  await writeSourceFile(sourcePath, media);
  const { size: sourceBytes } = await stat(sourcePath);
  const plain = await bareFfmpeg(sourcePath, directory.path, PLAIN);
  const faststart = await bareFfmpeg(sourcePath, directory.path, FASTSTART);
  await rm(sourcePath);

  const recordingsDirectory = join(directory.path, "recordings");
  const name = await writeLongRecording(recordingsDirectory, media);
  await settleDisk();
  await using server = await startServer({ recordingsDirectory, env: { LOG_LEVEL: "warn" } });
  const finalized = await finalize(server, name);
  await expectLongMp4(new RecordingsLayout(recordingsDirectory).mediaPath(name), media);
  const aligned = await exportAligned(server, name);
  return {
    sourceBytes,
    plainMs: plain.copyMs,
    plainAndSyncMs: plain.copyAndSyncMs,
    faststartMs: faststart.copyMs,
    ...finalized,
    ...aligned,
  };
}

/** How long ffmpeg alone takes, and how long until its file is on the disk; removes the file. */
async function bareFfmpeg(
  sourcePath: string,
  directory: string,
  flags: string,
): Promise<{ readonly copyMs: number; readonly copyAndSyncMs: number }> {
  const ffmpeg = await resolveFfmpeg(
    systemFfmpegLookup({ FFMPEG_PATH: process.env["FFMPEG_PATH"], PATH: process.env["PATH"] }),
  );
  await settleDisk();
  const outputPath = join(directory, "bare.mp4");
  const startedAt = performance.now();
  const options = `-v error -nostdin -y -f matroska -i`.split(" ");
  const output = [...flags.split(" "), "-strict", "-2", outputPath];
  const child = Bun.spawn([ffmpeg.path, ...options, sourcePath, ...output], { stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`ffmpeg ${flags}: ${stderr}`);
  const copyMs = performance.now() - startedAt;
  const handle = await open(outputPath, "r+");
  await handle.sync();
  await handle.close();
  const copyAndSyncMs = performance.now() - startedAt;
  await rm(outputPath);
  return { copyMs, copyAndSyncMs };
}

async function finalize(
  server: TrackCaptureServer,
  name: TrackName,
): Promise<Pick<Figures, "finalizeMs" | "idleBytes" | "peakBytes">> {
  const api = new RecordingsApi(server.url);
  const idle = new MemoryWatch(server.pid);
  const idleBytes = await idle.stop();
  const memory = new MemoryWatch(server.pid);
  await api.stop(name.recordingId);
  const recording = await until(
    async () => {
      const shown = await api.show(name.recordingId);
      if (shown.state === "failed") throw new Error(`It failed: ${shown.reason}`);
      return shown.state === "ready" ? shown : undefined;
    },
    { what: "the recording is ready", timeoutMs: FINALIZE_TIMEOUT_MS },
  );
  return {
    finalizeMs: Date.parse(recording.finalizedAt ?? "") - Date.parse(recording.stoppedAt ?? ""),
    idleBytes,
    peakBytes: await memory.stop(),
  };
}

/** What the export takes that copies the whole call, from the request for it to its file. */
async function exportAligned(
  server: TrackCaptureServer,
  { recordingId }: TrackName,
): Promise<Pick<Figures, "alignedMs" | "alignedPeakBytes">> {
  const exports = new ExportsApi(server.url, recordingId, FINALIZE_TIMEOUT_MS);
  const memory = new MemoryWatch(server.pid);
  const { exportId } = await exports.request({ kind: "aligned" });
  const { createdAt, endedAt } = await exports.done(exportId);
  return {
    alignedMs: Date.parse(endedAt ?? "") - Date.parse(createdAt),
    alignedPeakBytes: await memory.stop(),
  };
}
