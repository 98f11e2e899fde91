import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecordingId } from "../../src/contract/ids.ts";
import { manifestSchema } from "../../src/contract/manifest.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;

async function chunksOf(name: Parameters<typeof recordedSegment>[0]): Promise<Uint8Array[]> {
  return (await recordedSegment(name)).chunks.map(({ payload }) => payload);
}

/** Two seconds of sound in Matroska. */
async function vorbis({ path }: FfmpegBinary): Promise<Uint8Array> {
  const args = "-v error -f lavfi -i sine=440:d=2 -ac 2 -strict -2 -c:a vorbis -f matroska pipe:1";
  const made = Bun.spawnSync([path, ...args.split(" ")]);
  expect(made.exitCode).toBe(0);
  return new Uint8Array(made.stdout);
}

describe("Finalizer with an ffmpeg that fails", () => {
  let ffmpeg: FfmpegBinary;
  let bed: FinalizerBed;
  let vp9: Uint8Array[];

  beforeEach(async () => {
    ffmpeg = await testFfmpeg();
    bed = await FinalizerBed.open(ffmpeg);
    vp9 = await chunksOf("vp9-opus");
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  async function untilLastAttempt(recordingId: RecordingId): Promise<void> {
    for (const attempt of [1, 2]) {
      const what = `attempt ${attempt}`;
      await bed.untilTrack(recordingId, what, ({ job }) => job?.attempts === attempt);
      await bed.untilWaiting();
      bed.clock.advance(60_000);
    }
  }

  test(
    "a failed recording becomes ready when a retry succeeds",
    async () => {
      await bed.stop();
      const path = join(bed.scratchDirectory, "ffmpeg");
      await writeFile(path, "#!/bin/sh\necho Cannot allocate memory >&2\nexit 3\n");
      await chmod(path, 0o755);
      await bed.start({ ...ffmpeg, path });
      const { recordingId } = await bed.engine.startRecording({});
      // Sound that only ffmpeg can encode.
      const chunks = [await vorbis(ffmpeg)];
      await bed.send(recordingId, { chunks });
      await bed.engine.stopRecording(recordingId);
      await untilLastAttempt(recordingId);
      const record = await bed.untilState(recordingId, "failed");
      expect(record.reason).toContain("ffmpeg ended with exit code 3 before it was done.");
      // Its own words are for the log.
      expect(record.reason).not.toContain("allocate");
      expect((await bed.track(recordingId)).job).toMatchObject({ state: "failed", attempts: 3 });

      // The operator repairs what was wrong.
      await bed.stop();
      await bed.start(ffmpeg);
      await bed.finalizer.retry(recordingId);
      expect(await bed.untilState(recordingId, "ready")).toMatchObject({ reason: null });
      const manifest = manifestSchema.parse(
        await Bun.file(bed.layout.manifestPath(recordingId)).json(),
      );
      expect(manifest.recording).toMatchObject({ state: "ready", reason: null });
    },
    MEDIA_TIMEOUT_MS,
  );

  test("what ffmpeg says of the media it would say again: it is not tried again", async () => {
    await bed.stop();
    const path = join(bed.scratchDirectory, "ffmpeg");
    await writeFile(path, "#!/bin/sh\necho Invalid data found >&2\nexit 1\n");
    await chmod(path, 0o755);
    await bed.start({ ...ffmpeg, path });
    const { recordingId } = await bed.finalize({ chunks: [await vorbis(ffmpeg)] });
    const { job } = await bed.track(recordingId);
    expect(job).toMatchObject({ state: "failed", attempts: 1 });
    expect(job?.error).toBe(
      "Nothing of its picture or sound could be decoded. What ffmpeg said is in the server's log; the " +
        "source, which can be downloaded, has all that came.",
    );
  });

  test("what can be copied needs no ffmpeg on the last attempt", async () => {
    await bed.stop();
    const path = join(bed.scratchDirectory, "ffmpeg");
    await writeFile(path, "#!/bin/sh\nkill -9 $$\n");
    await chmod(path, 0o755);
    await bed.start({ ...ffmpeg, path });
    const { recordingId } = await bed.engine.startRecording({});
    await bed.send(recordingId, { chunks: vp9 });
    await bed.engine.stopRecording(recordingId);
    await untilLastAttempt(recordingId);
    await bed.untilState(recordingId, "ready");
    const { job, result } = await bed.track(recordingId);
    expect(job).toMatchObject({ state: "done", attempts: 3 });
    expect(result).toMatchObject({ verdict: "complete", media: { videoPackets: 180 } });
  });

  test(
    "a run of which ffmpeg makes nothing does not keep the track's others back, and can be retried",
    async () => {
      await bed.stop();
      const path = join(bed.scratchDirectory, "ffmpeg");
      const fails = 'case "$*" in *libx264*) echo Cannot allocate memory >&2; exit 3;; esac';
      await writeFile(path, `#!/bin/sh\n${fails}\nexec ${ffmpeg.path} "$@"\n`);
      await chmod(path, 0o755);
      await bed.start({ ...ffmpeg, path });
      const { recordingId } = await bed.engine.startRecording({});
      const h264 = await chunksOf("h264-opus");
      for (const chunks of [h264, await chunksOf("vp8-opus"), h264]) {
        await bed.send(recordingId, { chunks });
        bed.clock.advance(10_000);
      }
      await bed.engine.stopRecording(recordingId);
      await untilLastAttempt(recordingId);
      const record = await bed.untilState(recordingId, "failed", "ready");
      expect(record.reason).toContain("ffmpeg ended with exit code 3");
      const { job, result } = await bed.track(recordingId);
      expect(job).toMatchObject({ state: "failed", attempts: 3 });
      expect(result).toMatchObject({ verdict: "degraded", media: { videoPackets: 360 } });
      expect(result?.reason).toContain(
        `Segment ${result?.segments[1]?.segmentId}: VP8 video could not be made this time and was left out`,
      );
      expect(await Bun.file(bed.layout.mediaPath(trackKey(recordingId))).exists()).toBeTrue();

      await bed.stop();
      await bed.start(ffmpeg);
      await bed.finalizer.retry(recordingId);
      expect(await bed.untilState(recordingId, "ready")).toMatchObject({ reason: null });
      const { result: again } = await bed.track(recordingId);
      expect(again).toMatchObject({ verdict: "complete" });
      expect(again?.media?.videoPackets).toBeGreaterThan(500);
    },
    MEDIA_TIMEOUT_MS,
  );
});
