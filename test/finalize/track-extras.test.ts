import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import pino from "pino";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { TrackExtras } from "../../src/finalize/track-extras.ts";
import type { FfmpegBinary } from "../../src/process/ffmpeg-binary.ts";
import type { TrackKey } from "../../src/recording/ports.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { until } from "../support/until.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const WAIT_MS = 60_000;

let bed: FinalizerBed;
let key: TrackKey;

beforeAll(async () => {
  bed = await FinalizerBed.open(await testFfmpeg());
  const { chunks } = await recordedSegment("h264-opus");
  const { recordingId } = await bed.finalize({ chunks: chunks.map(({ payload }) => payload) });
  key = trackKey(recordingId);
}, WAIT_MS);

afterAll(() => bed[Symbol.asyncDispose]());

beforeEach(async () => {
  for (const name of ["poster.jpg", "waveform.json"]) {
    await rm(join(bed.layout.trackDirectory(key), name), { force: true });
  }
});

function extrasWith(ffmpeg: FfmpegBinary): TrackExtras {
  const { catalog, layout } = bed;
  const log = pino({ level: "silent" });
  return new TrackExtras({ catalog, layout, ffmpeg, limits: finalizeLimits(readConfig({})), log });
}

/** A program in place of ffmpeg. */
async function program(name: string, script: string): Promise<FfmpegBinary> {
  const path = join(bed.scratchDirectory, name);
  await Bun.write(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return { ...(await testFfmpeg()), path };
}

const filesOfTrack = () =>
  readdir(bed.layout.trackDirectory(key)).then((names) => names.toSorted());

test("what is given up leaves nothing, and is made when it is asked for again", async () => {
  const began = join(bed.scratchDirectory, "began");
  const slow = extrasWith(await program("slow", `touch ${began}; exec sleep 600`));
  slow.request(key);
  await until(async () => (await Bun.file(began).exists()) || undefined, {
    what: "the program runs",
    timeoutMs: WAIT_MS,
  });
  await slow.forget(key.recordingId);
  expect(await filesOfTrack()).toEqual(["media.mp4"]);
  await slow.stop();
  expect(slow.requestMissing(key)).toBe(false);

  // As a crash leaves them.
  const { extrasWorkDirectory } = bed.layout;
  for (const name of ["poster.jpg", "poster.jpg.probe", "waveform.json"]) {
    await Bun.write(join(extrasWorkDirectory, name), "half");
  }
  const extras = extrasWith(await testFfmpeg());
  await extras.start();
  expect(existsSync(extrasWorkDirectory)).toBe(false);
  expect(extras.requestMissing(key)).toBe(true);
  const all = "media.mp4 poster.jpg waveform.json";
  await until(async () => (await filesOfTrack()).join(" ") === all || undefined, {
    what: `there is nothing but ${all}`,
    timeoutMs: WAIT_MS,
  });
  await extras.stop();
  expect(existsSync(extrasWorkDirectory)).toBe(false);
});

test("what fails is not tried at each question, but at a new MP4", async () => {
  const runs = join(bed.scratchDirectory, "runs");
  const failing = extrasWith(await program("failing", `echo run >> ${runs}; exit 1`));
  const runCount = async () => (await Bun.file(runs).text()).split("\n").length - 1;
  failing.request(key);
  await until(() => !failing.requestMissing(key) || undefined, {
    what: "it was given up",
    timeoutMs: WAIT_MS,
  });
  const before = await runCount();
  expect(failing.requestMissing(key)).toBe(false);
  failing.request(key);
  await until(async () => (await runCount()) > before || undefined, {
    what: "it was tried again",
    timeoutMs: WAIT_MS,
  });
  await failing.stop();
});

test("a poster that fails does not keep the waveform back", async () => {
  const { path } = await testFfmpeg();
  const fails = 'case "$*" in *poster.jpg*) exit 1;; esac';
  const extras = extrasWith(await program("posterless", `${fails}; exec ${path} "$@"`));
  extras.request(key);
  await until(async () => (await filesOfTrack()).includes("waveform.json") || undefined, {
    what: "there is a waveform",
    timeoutMs: WAIT_MS,
  });
  await until(() => !extras.requestMissing(key) || undefined, {
    what: "the poster was given up",
    timeoutMs: WAIT_MS,
  });
  expect(await filesOfTrack()).toEqual(["media.mp4", "waveform.json"]);
  await extras.stop();
});

test("recordings take turns: one with many tracks does not hold the next one back", async () => {
  const { chunks } = await recordedSegment("h264-opus");
  const sent = { chunks: chunks.map(({ payload }) => payload) };
  const tracks = ["one", "two", "three", "four"];
  const big = await bed.finalize(...tracks.map((trackId) => ({ ...sent, trackId })));
  const small = await bed.finalize({ ...sent, trackId: "next" });

  const runs = join(bed.scratchDirectory, "turns.txt");
  const failing = extrasWith(await program("turns", `echo "$*" >> ${runs}; exit 1`));
  for (const trackId of tracks) failing.request(trackKey(big.recordingId, trackId));
  failing.request(trackKey(small.recordingId, "next"));
  const lines = await until(
    async () => {
      const found = (
        await Bun.file(runs)
          .text()
          .catch(() => "")
      )
        .trim()
        .split("\n");
      return found.length === 5 ? found : undefined;
    },
    { what: "all were tried", timeoutMs: WAIT_MS },
  );
  const order = lines.map((line) => [...tracks, "next"].find((name) => line.includes(`/${name}-`)));
  await failing.stop();
  expect(order).toEqual(["one", "two", "next", "three", "four"]);
});
