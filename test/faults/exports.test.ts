import { expect, test } from "bun:test";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { untilNoProcessIn } from "../finalize/recordings-directory.ts";
import { ExportsApi, exportOf } from "../support/exports-api.ts";
import { testPictureRecording } from "../support/test-picture-recording.ts";
import { streamsOf, totalDurationMs } from "../support/media-streams.ts";
import { RecordingsApi, type TrackName } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { type TrackCaptureServer, startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { noStraceReason } from "./support/no-strace-reason.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { SeededRandom, campaignSeed } from "./support/seeded-random.ts";
import { smallDisk, smallDiskObstacle } from "./support/small-disk.ts";
import { testUnless } from "./support/system-tools.ts";
import { attachFault } from "./support/traced-server.ts";

const WAIT_MS = 60_000;
const KILLS = campaign({ short: 2, long: 30 });
/** So that an export of it can be met while it is being made. */
const SECONDS = campaign({ short: 8, long: 60 });
const ENV = { FINALIZE_RETRY_DELAY_MS: "20" };
const MIB = 1024 * 1024;

const testOnSmallDisk = testUnless(smallDiskObstacle());
const testOnLinux = testUnless(process.platform === "linux" ? undefined : "there is no /proc");

function exportsDirectory(server: TrackCaptureServer, { recordingId }: TrackName): string {
  return join(server.recordingsDirectory, recordingId, "exports");
}

/** Processes that have a path of the directory among their arguments. */
async function processesIn(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await Bun.file(`/proc/${name}/cmdline`)
      .text()
      // It ended meanwhile.
      .catch(() => "");
    if (command.includes(directory)) found.push(Number(name));
  }
  return found;
}

/** Waits until ffmpeg works on the export and gives its process. */
function untilEncoding(directory: string, exportId: string): Promise<number> {
  return until(async () => (await processesIn(join(directory, `${exportId}.tmp`)))[0], {
    what: "ffmpeg makes the export",
    timeoutMs: WAIT_MS,
  });
}

testOnLinux(
  "an export that is cancelled half way leaves no file and no process, and can be retried",
  async () => {
    await using server = await startServer({ env: ENV });
    const track = await testPictureRecording(new RecordingsApi(server.url), SECONDS);
    const exports = new ExportsApi(server.url, track.recordingId);
    const directory = exportsDirectory(server, track);
    const { exportId } = await exports.request({ kind: "compatible", frameRate: 60 });
    await untilEncoding(directory, exportId);
    const shown = await until(
      async () => {
        const now = await exports.show(exportId);
        return now.progress > 0 ? now : undefined;
      },
      { what: "the export tells its progress", timeoutMs: WAIT_MS },
    );
    expect(shown.state).toBe("running");
    const cancelled = await exportOf(await exports.cancel(exportId));
    // At once, without waiting for it.
    expect(await processesIn(server.recordingsDirectory)).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
    expect(cancelled).toMatchObject({ state: "cancelled", files: [], reason: null });
    await exports.retry(exportId);
    await untilEncoding(directory, exportId);
    expect((await exports.remove(exportId)).status).toBe(204);
    expect(await processesIn(server.recordingsDirectory)).toEqual([]);
    expect(await readdir(directory)).toEqual([]);
  },
  CAMPAIGN_TIMEOUT_MS,
);

testOnLinux(
  "an export whose ffmpeg is killed is made all the same",
  async () => {
    await using server = await startServer({ env: ENV });
    const track = await testPictureRecording(new RecordingsApi(server.url), SECONDS);
    const exports = new ExportsApi(server.url, track.recordingId);
    const { exportId } = await exports.request({ kind: "compatible" });
    process.kill(await untilEncoding(exportsDirectory(server, track), exportId), "SIGKILL");
    expect(await exports.done(exportId)).toMatchObject({ reason: null });
    expect(server.stderr()).toContain("export failed, trying again");
  },
  CAMPAIGN_TIMEOUT_MS,
);

testOnLinux(
  "exports that are queued or running when the server is killed are made by the next one",
  async () => {
    const random = new SeededRandom(campaignSeed());
    await using directory = await temporaryDirectory();
    const options = { recordingsDirectory: join(directory.path, "recordings"), env: ENV };
    let server = await startServer(options);
    try {
      const track = await testPictureRecording(new RecordingsApi(server.url), SECONDS);
      const own = exportsDirectory(server, track);
      let made = 0;
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const exports = new ExportsApi(server.url, track.recordingId);
        const first = await exports.request({ kind: "compatible", frameRate: 60 });
        const second = await exports.request({ kind: "audio" });
        await untilEncoding(own, first.exportId);
        await Bun.sleep(random.int(0, 1_000));
        if (kill % 2 === 0) await Promise.any([exports.cancel(first.exportId), Bun.sleep(1)]);
        await server.kill();
        await untilNoProcessIn(server.recordingsDirectory);
        await server[Symbol.asyncDispose]();
        server = await startServer(options);
        const again = new ExportsApi(server.url, track.recordingId);
        const ended = await again.untilState(first.exportId, "done", "cancelled");
        if (kill % 2 !== 0) expect(ended.state).toBe("done");
        const others = await again.done(second.exportId);
        const published = [ended, others].filter(({ state }) => state === "done");
        expect((await readdir(own)).toSorted()).toEqual(
          published.map(({ exportId }) => exportId).toSorted(),
        );
        for (const { exportId, files } of published) {
          const names = files.map(({ name }) => name);
          expect((await readdir(join(own, exportId))).toSorted()).toEqual(names.toSorted());
          made += 1;
        }
        for (const { exportId } of [ended, others]) await again.remove(exportId);
        expect(await readdir(own)).toEqual([]);
      }
      reportCampaign(
        `${KILLS} kills while exports ran: ${made} made afterwards, 0 files left over`,
      );
    } finally {
      await server[Symbol.asyncDispose]();
    }
  },
  CAMPAIGN_TIMEOUT_MS,
);

testOnSmallDisk(
  "an export on a full disk fails with that as its reason, leaves nothing, and a retry succeeds",
  async () => {
    await using disk = await smallDisk(96 * MIB);
    await using server = await startServer({
      recordingsDirectory: join(disk.path, "recordings"),
      env: { ...ENV, FREE_SPACE_BYTES_MIN: "0" },
    });
    const track = await testPictureRecording(new RecordingsApi(server.url), SECONDS);
    const exports = new ExportsApi(server.url, track.recordingId);
    const requests = [
      { kind: "aligned" },
      { kind: "compatible" },
      { kind: "audio", lossless: "wav" },
    ] as const;
    for (const request of requests) {
      // Room for the catalogue, but not for what is to be made.
      await disk.fill(MIB / 2);
      const { exportId } = await exports.request(request);
      const failed = await exports.untilState(exportId, "failed", "done");
      expect(failed).toMatchObject({ state: "failed", files: [] });
      expect(failed.reason).toStartWith("No space is left to make the export (");
      expect(await readdir(exportsDirectory(server, track))).toEqual([]);
      await disk.free();
      expect((await exports.retry(exportId)).status).toBe(202);
      const { files } = await exports.done(exportId);
      expect(files.length).toBeGreaterThan(0);
      for (const { name } of files.filter(({ mediaType }) => mediaType !== "audio/wav")) {
        const path = join(exportsDirectory(server, track), exportId, name);
        expect(totalDurationMs(await streamsOf(path))).toBeGreaterThan(SECONDS * 1_000 - 100);
      }
      expect((await exports.remove(exportId)).status).toBe(204);
    }
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "an export whose name cannot be made durable fails and leaves nothing, and a retry succeeds",
  async () => {
    const straceReason = await noStraceReason();
    if (straceReason !== undefined) {
      reportCampaign(`skipped: ${straceReason}`);
      return;
    }
    await using directory = await temporaryDirectory();
    await using server = await startServer({ env: ENV });
    const track = await testPictureRecording(new RecordingsApi(server.url), 2);
    const exports = new ExportsApi(server.url, track.recordingId);
    const own = exportsDirectory(server, track);
    await mkdir(own);
    const strace = await attachFault(server.pid, directory.path, {
      calls: "fsync",
      outcome: "error=EIO",
      paths: [own],
    });
    const { exportId } = await exports.request({ kind: "aligned" });
    try {
      await exports.untilState(exportId, "failed");
    } finally {
      await strace.detach();
    }
    expect(await readdir(own)).toEqual([]);
    await exports.retry(exportId);
    await exports.done(exportId);
  },
  CAMPAIGN_TIMEOUT_MS,
);
