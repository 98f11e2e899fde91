import { expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TrackKey } from "../../src/recording/ports.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";
import { FinalizerBed, testFfmpeg } from "./finalizer-bed.ts";

const WAIT_MS = 60_000;

async function soundChunks(): Promise<Uint8Array[]> {
  return (await recordedSegment("audio-opus")).chunks.map(({ payload }) => payload);
}

test("a segment that comes while its track is made is taken, also while other tracks go on", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "held");
  const ffmpeg = await testFfmpeg();
  const script = `echo start >> ${path}.log
n=$(wc -l < ${path}.log)
while [ ! -e ${path}.$n ]; do sleep 0.02; done
exec ${ffmpeg.path} "$@"`;
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  const release = (start: number): Promise<void> => writeFile(`${path}.${start}`, "");
  await using own = await FinalizerBed.open({ ...ffmpeg, path }, { parallelRunsMax: 1 });
  const chunks = await soundChunks();
  const { recordingId } = await own.engine.startRecording({});
  await own.send(recordingId, { chunks });
  await own.send(recordingId, { chunks, trackId: "screen" });
  await own.engine.stopRecording(recordingId);
  await until(async () => (await Bun.file(`${path}.log`).exists()) || undefined, {
    what: "the camera's MP4 is being made",
    timeoutMs: WAIT_MS,
  });
  await own.send(recordingId, { chunks });
  await release(1);
  // The screen's MP4 is still being made.
  await own.untilTrack(recordingId, "the camera waits for its next run", (track) => {
    return track.trackId === "camera" && track.result !== null && track.job?.state === "queued";
  });
  for (const start of [2, 3, 4]) await release(start);
  await own.untilState(recordingId, "ready");
  const [camera, screen] = await own.catalog.tracks(recordingId);
  expect(camera?.result?.segments.length).toBe(2);
  expect(screen?.result?.segments.length).toBe(1);
});

test("posters and waveforms are asked for when the recording has all its MP4s", async () => {
  const chunks = await soundChunks();
  const asked: Promise<string>[] = [];
  const name = async (key: TrackKey): Promise<string> =>
    `${key.trackId} of a ${(await own.catalog.findRecording(key.recordingId))?.state} recording`;
  const extras = {
    request: (key: TrackKey) => void asked.push(name(key)),
    forget: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
  const limits = { parallelRunsMax: 1 };
  await using own = await FinalizerBed.open(await testFfmpeg(), limits, extras);
  const names = ["camera", "screen", "microphone"];
  await own.finalize(...names.map((trackId) => ({ chunks, trackId })));
  await until(() => asked.length === names.length || undefined, {
    what: "all were asked for",
    timeoutMs: WAIT_MS,
  });
  expect(await Promise.all(asked)).toEqual(names.map((track) => `${track} of a ready recording`));
});
