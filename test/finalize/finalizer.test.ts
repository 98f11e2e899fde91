import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { manifestSchema } from "../../src/contract/manifest.ts";
import { workDirectoryOf } from "../../src/finalize/half-made-files.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import { NothingToRetryError, RecordingNotFoundError } from "../../src/recording/errors.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { until } from "../support/until.ts";
import { FinalizerBed, newSegmentId, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;

async function chunksOf(name: Parameters<typeof recordedSegment>[0]): Promise<Uint8Array[]> {
  return (await recordedSegment(name)).chunks.map(({ payload }) => payload);
}

describe("Finalizer", () => {
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

  test("a recording without tracks is ready at once, with a manifest", async () => {
    const record = await bed.finalize();
    expect(record.state).toBe("ready");
    const manifest = manifestSchema.parse(
      await Bun.file(bed.layout.manifestPath(record.recordingId)).json(),
    );
    expect(manifest.participants).toEqual([]);
    expect(manifest.recording.state).toBe("ready");
  });

  test("a whole track is finalized without waiting, and the manifest tells its file", async () => {
    const record = await bed.finalize({ chunks: vp9, mimeType: "video/webm;codecs=vp9,opus" });
    const { result } = await bed.track(record.recordingId);
    expect(record).toMatchObject({ state: "ready", reason: null });
    expect(result).toMatchObject({ verdict: "complete", reason: null, damage: [] });
    const manifestPath = bed.layout.manifestPath(record.recordingId);
    const manifest = manifestSchema.parse(await Bun.file(manifestPath).json());
    const [track] = manifest.participants[0]?.tracks ?? [];
    expect(track).toMatchObject({ verdict: "complete", segments: [{ chunks: vp9.length }] });
    const file = Bun.file(join(dirname(manifestPath), track?.media?.path ?? ""));
    const bytes = await file.bytes();
    expect(bytes.length).toBe(track?.media?.bytes ?? 0);
    expect(Buffer.from(bytes.subarray(4, 8)).toString()).toBe("ftyp");
  });

  test("a track that its client never ended is waited for, then delivered as degraded", async () => {
    const { recordingId } = await bed.engine.startRecording({});
    await bed.send(recordingId, { chunks: vp9, ends: false });
    await bed.engine.stopRecording(recordingId);
    await bed.untilState(recordingId, "finalizing");
    await bed.untilWaiting();
    bed.clock.advance(9_999);
    expect((await bed.track(recordingId)).job).toBeNull();
    bed.clock.advance(1);
    expect((await bed.untilState(recordingId, "ready", "failed")).state).toBe("ready");
    const { result } = await bed.track(recordingId);
    expect(result?.verdict).toBe("degraded");
    expect(result?.reason).toContain("never ended");
    expect(result?.media?.videoPackets).toBe(180);
  });

  test("a segment's end during the wait starts its finalization at once", async () => {
    const { recordingId } = await bed.engine.startRecording({});
    const segmentId = await bed.send(recordingId, { chunks: vp9, ends: false });
    await bed.engine.stopRecording(recordingId);
    await bed.engine.endSegment(recordingId, segmentId, vp9.length);
    await bed.untilState(recordingId, "ready");
    expect((await bed.track(recordingId)).result?.verdict).toBe("complete");
  });

  test("an end that comes late completes the track, and leaves its MP4 as it was published", async () => {
    const { recordingId } = await bed.engine.startRecording({});
    const segmentId = await bed.send(recordingId, { chunks: vp9, ends: false });
    await bed.engine.stopRecording(recordingId);
    await bed.untilWaiting();
    bed.clock.advance(10_000);
    await bed.untilState(recordingId, "ready");
    const before = (await bed.track(recordingId)).result;
    const mediaPath = bed.layout.mediaPath(trackKey(recordingId));
    const { ino } = await stat(mediaPath);
    bed.clock.advance(60_000);
    await bed.engine.endSegment(recordingId, segmentId, vp9.length);
    const { result } = await bed.untilTrack(
      recordingId,
      "the track is complete",
      (track) => track.job?.state === "done" && track.result?.verdict === "complete",
    );
    expect(before?.media?.videoPackets).toBe(180);
    expect(result?.media).toEqual(before?.media ?? null);
    expect((await stat(mediaPath)).ino).toBe(ino);
    expect(await readdir(bed.layout.trackDirectory(trackKey(recordingId)))).toEqual(["media.mp4"]);
  });

  test(
    "a late chunk makes the better MP4 replace the old one",
    async () => {
      const segmentId = newSegmentId();
      const holed = vp9.map((chunk, i) => (i === 2 ? undefined : chunk));
      const { recordingId } = await bed.engine.startRecording({});
      await bed.send(recordingId, { chunks: holed, segmentId });
      await bed.engine.stopRecording(recordingId);
      await bed.untilWaiting();
      bed.clock.advance(10_000);
      await bed.untilState(recordingId, "ready");
      const before = (await bed.track(recordingId)).result;
      expect(before?.verdict).toBe("degraded");
      expect(before?.reason).toContain("lacks chunks 2");

      await bed.engine.append({
        ...trackKey(recordingId),
        segmentId,
        mimeType: "",
        firstSequence: 2,
        chunks: [
          {
            payload: vp9[2] ?? new Uint8Array(),
            claimedSha256: undefined,
            capturedAtMs: null,
            marks: [],
          },
        ],
      });
      const { result } = await bed.untilTrack(
        recordingId,
        "the track is complete",
        (track) => track.job?.state === "done" && track.result?.verdict === "complete",
      );
      expect(result?.media?.videoPackets).toBe(180);
      expect(before?.media?.videoPackets).toBeLessThan(180);
      const manifest = manifestSchema.parse(
        await Bun.file(bed.layout.manifestPath(recordingId)).json(),
      );
      expect(manifest.participants[0]?.tracks[0]?.media?.videoPackets).toBe(180);
      expect(await readdir(bed.layout.trackDirectory(trackKey(recordingId)))).toEqual([
        "media.mp4",
      ]);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "a late chunk that came just before a crash is found by the next start",
    async () => {
      const segmentId = newSegmentId();
      const { recordingId } = await bed.engine.startRecording({});
      await bed.send(recordingId, { chunks: vp9.slice(0, 4), segmentId, ends: false });
      await bed.engine.stopRecording(recordingId);
      await bed.untilWaiting();
      bed.clock.advance(10_000);
      await bed.untilState(recordingId, "ready");
      await bed.finalizer.stop();
      await bed.send(recordingId, { chunks: vp9, segmentId });
      await bed.stop();
      await bed.start(ffmpeg);
      await bed.untilTrack(
        recordingId,
        "the track is complete",
        (track) => track.result?.verdict === "complete",
      );
    },
    MEDIA_TIMEOUT_MS,
  );

  test("only empty chunks: the track is lost, with the reason, and the recording ready", async () => {
    const { recordingId } = await bed.engine.startRecording({});
    const chunks = [undefined, new Uint8Array(), new Uint8Array()];
    await bed.send(recordingId, { chunks, ends: false });
    await bed.engine.stopRecording(recordingId);
    await bed.untilWaiting();
    bed.clock.advance(10_000);
    expect((await bed.untilState(recordingId, "ready", "failed")).state).toBe("ready");
    const { result } = await bed.track(recordingId);
    expect(result).toMatchObject({ verdict: "lost", media: null });
    expect(result?.reason).toContain("only empty chunks");
  });

  test("unreadable chunks fail their track with the reason; another track's MP4 stays", async () => {
    const header = Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3, 0x80);
    const record = await bed.finalize(
      { chunks: [header], trackId: "screen" },
      { chunks: vp9, trackId: "camera" },
    );
    expect(record.state).toBe("failed");
    expect(record.reason).toContain('Track "screen"');
    const tracks = await bed.catalog.tracks(record.recordingId);
    const screen = tracks.find(({ trackId }) => trackId === "screen");
    // What cannot pass is not tried again.
    expect(screen?.job).toMatchObject({ state: "failed", attempts: 1 });
    const camera = tracks.find(({ trackId }) => trackId === "camera");
    expect(camera?.result?.media?.videoPackets).toBe(180);
    expect(await Bun.file(bed.layout.mediaPath(trackKey(record.recordingId))).exists()).toBeTrue();
    expect(await bed.store.list(record.recordingId)).toHaveLength(2);
  });

  test("a run that ended before its first packet does not keep the track's others back", async () => {
    const cluster = Buffer.from(vp9[0] ?? []).indexOf(Buffer.from("1f43b675", "hex"));
    const headerOnly = (vp9[0] ?? new Uint8Array()).slice(0, cluster);
    const record = await bed.finalize(
      { chunks: [headerOnly] },
      { chunks: vp9 },
      { chunks: [headerOnly] },
      { chunks: vp9 },
    );
    expect(record.state).toBe("ready");
    const { result } = await bed.track(record.recordingId);
    expect(result).toMatchObject({
      verdict: "degraded",
      media: { videoPackets: 360, action: "copy" },
    });
    expect(result?.reason).toContain("could not be used: The chunks hold no packet");
  });

  test("what comes after a restart to a track that had failed before makes its MP4", async () => {
    const header = (vp9[0] ?? new Uint8Array()).slice(0, 40);
    const { recordingId } = await bed.finalize({ chunks: [header] });
    expect((await bed.track(recordingId)).job?.state).toBe("failed");
    await bed.stop();
    await bed.start(ffmpeg);
    bed.clock.advance(1_000);
    await bed.send(recordingId, { chunks: vp9 });
    const { result } = await bed.untilTrack(
      recordingId,
      "the track has an MP4",
      ({ job, result: newest }) => job?.state === "done" && newest?.media !== null,
    );
    expect(result?.media?.videoPackets).toBe(180);
    expect(result?.verdict).toBe("degraded");
    await bed.untilState(recordingId, "ready");
  });

  test("a retry that succeeded just before a crash makes the recording ready by the next start", async () => {
    const record = await bed.finalize({ chunks: vp9 });
    const { recordingId } = await bed.finalize({ chunks: [Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3)] });
    expect((await bed.untilState(recordingId, "failed")).reason).not.toBeNull();
    const { result } = await bed.track(record.recordingId);
    if (result === null) throw new Error("The other recording has no result.");
    const key = trackKey(recordingId);
    await bed.stop();
    await bed.startCatalog();
    await bed.catalog.jobs.enqueue(key);
    await bed.catalog.jobs.take();
    await bed.catalog.saveTrackResult(key, result);
    await bed.catalog.jobs.finish(key, { state: "done" });
    await bed.catalog.close();
    await bed.start(ffmpeg);
    expect(await bed.untilState(recordingId, "ready")).toMatchObject({ reason: null });
  });

  test("a track that crashed the server ten times fails with that reason, and can be retried", async () => {
    const { recordingId } = await bed.engine.startRecording({});
    await bed.send(recordingId, { chunks: vp9 });
    const key = trackKey(recordingId);
    await bed.stop();
    await bed.startCatalog();
    await bed.catalog.advanceRecording(recordingId, "finalizing", { atMs: 0, reason: null });
    await bed.catalog.jobs.enqueue(key);
    for (let crash = 0; crash < 10; crash += 1) {
      await bed.catalog.jobs.take();
      if (crash < 9) await bed.catalog.jobs.requeueInterrupted();
    }
    await bed.catalog.close();
    await bed.start(ffmpeg);
    const record = await bed.untilState(recordingId, "failed", "ready");
    expect(record.reason).toContain("The server ended 10 times");
    await bed.finalizer.retry(recordingId);
    expect(await bed.untilState(recordingId, "ready")).toMatchObject({ reason: null });
  });

  test("half-made files of a run that a crash interrupted are gone after the next start", async () => {
    const { recordingId } = await bed.finalize({ chunks: vp9 });
    const key = trackKey(recordingId);
    const workDirectory = workDirectoryOf(bed.layout, key);
    const manifestPath = `${bed.layout.manifestPath(recordingId)}.${crypto.randomUUID()}.tmp`;
    await bed.stop();
    await bed.startCatalog();
    await bed.catalog.jobs.enqueue(key);
    await bed.catalog.jobs.take();
    await bed.catalog.close();
    await mkdir(workDirectory);
    await writeFile(join(workDirectory, "half.mp4"), "half");
    await writeFile(manifestPath, "{");
    await bed.start(ffmpeg);
    await bed.untilTrack(recordingId, "the job is done again", ({ job }) => job?.state === "done");
    expect(await readdir(bed.layout.trackDirectory(key))).toEqual(["media.mp4"]);
    const names = await readdir(bed.layout.recordingDirectory(recordingId));
    expect(names.toSorted()).toEqual(["manifest.json", "segments", "tracks"]);
  });

  test("there is nothing to retry of a ready recording, and none of an unknown one", async () => {
    const { recordingId } = await bed.finalize();
    expect(bed.finalizer.retry(recordingId)).rejects.toBeInstanceOf(NothingToRetryError);
    await bed.engine.deleteRecording(recordingId);
    expect(bed.finalizer.retry(recordingId)).rejects.toBeInstanceOf(RecordingNotFoundError);
  });

  describe("with an ffmpeg that never ends", () => {
    let recordingId: ReturnType<typeof trackKey>["recordingId"];
    let pidPath: string;

    const childIsGone = async (): Promise<boolean> => {
      const pid = Number(await Bun.file(pidPath).text());
      try {
        process.kill(pid, 0);
        return false;
      } catch (error) {
        return error instanceof Error && "code" in error && error.code === "ESRCH";
      }
    };

    beforeEach(async () => {
      await bed.stop();
      const path = join(bed.scratchDirectory, "ffmpeg");
      pidPath = join(bed.scratchDirectory, "pid");
      // `exec`, so that there is one process only; the rename makes the number appear whole.
      await writeFile(
        path,
        `#!/bin/sh\necho $$ > ${pidPath}.tmp\nmv ${pidPath}.tmp ${pidPath}\nexec sleep 600\n`,
      );
      await chmod(path, 0o755);
      await bed.start({ ...ffmpeg, path });
      ({ recordingId } = await bed.engine.startRecording({}));
      await bed.send(recordingId, { chunks: vp9 });
      await bed.engine.stopRecording(recordingId);
      await until(async () => (await Bun.file(pidPath).exists()) || undefined, {
        what: "ffmpeg's stand-in runs",
        timeoutMs: 30_000,
      });
    });

    test("stop ends it, and the next start does the job anew", async () => {
      await bed.finalizer.stop();
      expect(await childIsGone()).toBeTrue();
      expect((await bed.track(recordingId)).job?.state).toBe("queued");
      const key = trackKey(recordingId);
      expect(await Bun.file(workDirectoryOf(bed.layout, key)).exists()).toBeFalse();
      await bed.stop();
      await bed.start(ffmpeg);
      await bed.untilState(recordingId, "ready");
    });

    test("deleting the recording ends it and leaves no file", async () => {
      await bed.engine.deleteRecording(recordingId);
      expect(await childIsGone()).toBeTrue();
      expect(await bed.catalog.jobs.jobs(recordingId)).toEqual([]);
      expect(await readdir(bed.layout.rootDirectory)).not.toContain(recordingId);
    });
  });
});
