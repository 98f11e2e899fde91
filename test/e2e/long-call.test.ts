import { expect, test } from "bun:test";
import { join } from "node:path";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ExportsApi } from "../support/exports-api.ts";
import { expectLongMp4 } from "../support/long-mp4.ts";
import { writeLongRecording } from "../support/looped-recording.ts";
import { loopedMedia } from "../support/looped-media.ts";
import { onlyStream, streamsOf } from "../support/media-streams.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { MemoryWatch } from "../support/memory-watch.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";

/** Of server and ffmpeg together, however long the call is. */
const RESIDENT_BYTES_MAX = 300_000_000;

/** An export's index, 15 MB for each hour, comes on top of what the finalization has left behind. */
const EXPORT_RESIDENT_BYTES_MAX = 450_000_000;

/** The short form has as many packets as a call of an hour; the long one is beyond 4 GiB. */
const CALL = campaign({
  short: { durationMs: 3_600_000, bitsPerSecond: 110_000 },
  long: { durationMs: 9.5 * 3_600_000, bitsPerSecond: 1_100_000 },
});

test(
  "a call of hours is finalized whole, after a crash, and aligned, with little memory",
  async () => {
    await using directory = await temporaryDirectory();
    const media = await loopedMedia(CALL);
    const recordingsDirectory = `${directory.path}/recordings`;
    const name = await writeLongRecording(recordingsDirectory, media);
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    const memory = new MemoryWatch(server.pid);
    await api.stop(name.recordingId);
    const recording = await until(
      async () => {
        const shown = await api.show(name.recordingId);
        return ["ready", "failed"].includes(shown.state) ? shown : undefined;
      },
      { what: "the recording is ready", timeoutMs: CAMPAIGN_TIMEOUT_MS },
    );
    const peakBytes = await memory.stop();

    const track = trackOf(recording, name);
    expect(track).toMatchObject({
      verdict: "complete",
      reason: null,
      media: { videoPackets: media.videoPackets, audioPackets: media.audioPackets, action: "copy" },
    });
    expect(Math.abs((track.media?.durationMs ?? 0) - media.durationMs)).toBeLessThan(40);
    const layout = new RecordingsLayout(recordingsDirectory);
    const mp4Path = layout.mediaPath(name);
    await expectLongMp4(mp4Path, media);
    expect(peakBytes).toBeLessThan(RESIDENT_BYTES_MAX);
    const hours = (media.durationMs / 3_600_000).toFixed(1);
    const figures = `${Bun.file(mp4Path).size} bytes, at most ${Math.round(peakBytes / 1e6)} MB resident`;
    process.stderr.write(`A call of ${hours} hours: ${figures}\n`);

    const exports = new ExportsApi(server.url, name.recordingId, CAMPAIGN_TIMEOUT_MS);
    const exporting = new MemoryWatch(server.pid);
    const { exportId } = await exports.request({ kind: "aligned" });
    const { files } = await exports.done(exportId);
    const exportPeakBytes = await exporting.stop();
    const [file] = files;
    if (file === undefined) throw new Error("The export has no file");
    const alignedPath = join(layout.exportDirectory(name.recordingId, exportId), file.name);
    const streams = await streamsOf(alignedPath, { metadataOnly: true });
    expect(onlyStream(streams, "video").packets).toBe(media.videoPackets);
    for (const { firstTimeMs, durationMs: ownMs } of streams) {
      expect(Math.abs(firstTimeMs + ownMs - file.durationMs)).toBeLessThanOrEqual(40);
    }
    // The last picture stands still until the recording's stop.
    const lastMs = file.durationMs - media.durationMs + 5_000;
    const last = (await decodeFrameNumbers(alignedPath, { lastMs })).map(({ number }) => number);
    expect(last.length).toBeGreaterThan(100);
    expect(last.toReversed()).toEqual(Array.from(last, (_, i) => media.lastNumber - i));
    expect(exportPeakBytes).toBeLessThan(EXPORT_RESIDENT_BYTES_MAX);
    process.stderr.write(`Aligned: at most ${Math.round(exportPeakBytes / 1e6)} MB resident\n`);
  },
  CAMPAIGN_TIMEOUT_MS,
);
