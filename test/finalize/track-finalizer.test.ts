import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type FfmpegBinary,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import type { RecordingRecord, TrackRecord } from "../../src/recording/ports.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { onlyStream, startSkewMs, streamsOf, totalDurationMs } from "../support/media-streams.ts";
import {
  type RecordedName,
  badMedia,
  joinChunks,
  recordedSegment,
} from "../support/recorded-media.ts";
import { withSoundInTime } from "../support/faithful-mp4.ts";
import { FinalizerBed, type SentSegment, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const MEDIA_TIMEOUT_MS = 120_000;
const DURATION_TOLERANCE_MS = 40;
const TRANSCODED_SKEW_TOLERANCE_MS = 20;
const ROUNDING_MS = 1;

/** The build that npm alone provides, and the one that serves on this machine (often the same). */
const BUILDS: readonly (readonly [name: string, find: () => Promise<FfmpegBinary>])[] = [
  ["the ffmpeg of this machine", testFfmpeg],
  ["the ffmpeg of npm", () => resolveFfmpeg(systemFfmpegLookup({}))],
];

async function sent(name: RecordedName): Promise<{ chunks: Uint8Array[]; mimeType: string }> {
  const { chunks, mimeType } = await recordedSegment(name);
  return { chunks: chunks.map(({ payload }) => payload), mimeType };
}

describe.each(BUILDS)("finalizeTrack with %s", (_, find) => {
  let bed: FinalizerBed;
  beforeEach(async () => {
    bed = await FinalizerBed.open(await find());
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  const finalize = async (
    ...segments: readonly SentSegment[]
  ): Promise<{ record: RecordingRecord; track: TrackRecord; path: string }> => {
    const record = await bed.finalize(...segments);
    const track = await bed.track(record.recordingId);
    return { record, track, path: bed.layout.mediaPath(trackKey(record.recordingId)) };
  };

  const sourceFile = async (name: RecordedName): Promise<string> => {
    const path = join(bed.scratchDirectory, `${name}.source`);
    await writeFile(path, joinChunks((await recordedSegment(name)).chunks));
    return path;
  };

  test.each([
    ["h264-opus", "copy", "h264"],
    ["h264-opus-paused", "copy", "h264"],
    ["vp9-opus", "copy", "vp9"],
    ["av1-opus", "copy", "av1"],
    ["mp4-vp9-opus", "copy", "vp9"],
    ["vp8-opus", "transcode", "h264"],
  ] as const)(
    "%s: %s to an MP4 with every frame, in order, in time and in sync",
    async (name, action, videoCodec) => {
      const { track, path } = await finalize(await sent(name));
      const source = await sourceFile(name);
      const [frames, sourceFrames] = [
        await decodeFrameNumbers(path),
        await decodeFrameNumbers(source),
      ];
      expect(frames.map(({ number }) => number)).toEqual(sourceFrames.map(({ number }) => number));
      const isCopy = action === "copy";
      const toleranceMs = isCopy ? ROUNDING_MS : TRANSCODED_SKEW_TOLERANCE_MS;
      const errorsMs = frames.map(({ timeMs }, i) =>
        Math.abs(
          timeMs -
            (frames[0]?.timeMs ?? 0) -
            ((sourceFrames[i]?.timeMs ?? 0) - (sourceFrames[0]?.timeMs ?? 0)),
        ),
      );
      expect(Math.max(...errorsMs)).toBeLessThanOrEqual(toleranceMs);

      const streams = await streamsOf(path);
      const sourceStreams = await withSoundInTime(await streamsOf(source), source);
      for (const kind of ["video", "audio"] as const) {
        const [stream, original] = [onlyStream(streams, kind), onlyStream(sourceStreams, kind)];
        expect(stream.packets).toBe(original.packets);
        // Only AV1 loses bytes by being copied: its temporal delimiters.
        if (stream.codec === original.codec && stream.codec !== "av1") {
          expect(stream.bytes).toBe(original.bytes);
        }
      }
      expect(Math.abs(startSkewMs(streams) - startSkewMs(sourceStreams))).toBeLessThanOrEqual(
        toleranceMs,
      );
      const durationMs = totalDurationMs(sourceStreams);
      expect(Math.abs(totalDurationMs(streams) - durationMs)).toBeLessThanOrEqual(
        DURATION_TOLERANCE_MS,
      );
      const media = track.result?.media;
      expect(Math.abs((media?.durationMs ?? 0) - durationMs)).toBeLessThanOrEqual(
        DURATION_TOLERANCE_MS,
      );
      expect(media).toMatchObject({ action, videoCodec, audioCodec: "opus" });
      expect(media).toMatchObject({ width: 640, height: 360, bytes: Bun.file(path).size });
      expect(track.result).toMatchObject({ verdict: "complete", reason: null });
    },
    MEDIA_TIMEOUT_MS,
  );

  test("sound alone is copied", async () => {
    const { track, path } = await finalize(await sent("audio-opus"));
    expect(track.result?.media).toMatchObject({
      action: "copy",
      videoCodec: null,
      width: null,
      audioPackets: 100,
    });
    const [stream, original] = [
      await streamsOf(path),
      await streamsOf(await sourceFile("audio-opus")),
    ];
    expect(onlyStream(stream, "audio").timesMs).toEqual(onlyStream(original, "audio").timesMs);
  });

  test("a first chunk of one byte and empty chunks change nothing", async () => {
    const { chunks, mimeType } = await sent("vp9-opus");
    const [first = new Uint8Array(), ...others] = chunks;
    const split = [
      first.slice(0, 1),
      new Uint8Array(),
      first.slice(1),
      ...others,
      new Uint8Array(),
    ];
    const { track, path } = await finalize({ chunks: split, mimeType });
    expect(track.result?.verdict).toBe("complete");
    expect(await decodeFrameNumbers(path)).toHaveLength(180);
  });

  test(
    "a missing chunk costs little more than what was in it",
    async () => {
      const { chunks } = await sent("h264-opus");
      const { recordingId } = await bed.engine.startRecording({});
      await bed.send(recordingId, {
        chunks: chunks.map((chunk, i) => (i === 2 ? undefined : chunk)),
      });
      await bed.engine.stopRecording(recordingId);
      await bed.untilWaiting();
      bed.clock.advance(10_000);
      await bed.untilState(recordingId, "ready");
      const { result } = await bed.track(recordingId);
      expect(result?.verdict).toBe("degraded");
      // The picture that chunk 3 begins in the middle of is lost with chunk 2.
      expect(result?.reason).toMatch(/lacks chunks 2 \(0:0(1\.9|2\.0) to 0:03\.[01]\)\./);
      // 180 frames in 6 chunks; the gap cuts one frame in two at each of its ends.
      expect(result?.media?.videoPackets).toBeGreaterThan(140);
      expect(result?.media?.audioPackets).toBeGreaterThan(78);
      // What follows the gap stays at its own time.
      expect(result?.media?.durationMs).toBeGreaterThan(6_000);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "two runs of one recorder's settings are copied into one MP4, with the gap between",
    async () => {
      const vp9 = await sent("vp9-opus");
      const { recordingId } = await bed.engine.startRecording({});
      await bed.send(recordingId, vp9);
      bed.clock.advance(10_000);
      await bed.send(recordingId, vp9);
      await bed.engine.stopRecording(recordingId);
      await bed.untilState(recordingId, "ready");
      const { result } = await bed.track(recordingId);
      expect(result).toMatchObject({ verdict: "complete", media: { action: "copy" } });
      const path = bed.layout.mediaPath(trackKey(recordingId));
      const source = await decodeFrameNumbers(await sourceFile("vp9-opus"));
      const frames = await decodeFrameNumbers(path);
      const numbers = source.map(({ number }) => number);
      expect(frames.map(({ number }) => number)).toEqual([...numbers, ...numbers]);
      const secondMs = frames[source.length]?.timeMs ?? 0;
      expect(Math.abs(secondMs - (frames[0]?.timeMs ?? 0) - 10_000)).toBeLessThanOrEqual(
        ROUNDING_MS,
      );
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "of runs with different codecs and containers, those that are not H.264 are transcoded",
    async () => {
      const names = ["h264-opus", "vp8-opus", "mp4-vp9-opus"] as const;
      const { recordingId } = await bed.engine.startRecording({});
      const expected: number[] = [];
      for (const name of names) {
        await bed.send(recordingId, await sent(name));
        bed.clock.advance(8_000);
        const source = await decodeFrameNumbers(await sourceFile(name));
        expected.push(...source.map(({ number }) => number));
      }
      await bed.engine.stopRecording(recordingId);
      await bed.untilState(recordingId, "ready", "failed");
      const { result } = await bed.track(recordingId);
      expect(result?.media).toMatchObject({
        action: "transcode",
        videoCodec: "h264",
        audioCodec: "opus",
      });
      expect(result?.media?.actionReason).toStartWith(
        "3 segments were joined. Segment 1: H.264 video is copied. Opus sound is copied. " +
          "Segment 2: VP8 video is transcoded to H.264, since MP4 cannot carry it.",
      );
      const frames = await decodeFrameNumbers(bed.layout.mediaPath(trackKey(recordingId)));
      expect(frames.map(({ number }) => number)).toEqual(expected);
      const timesMs = frames.map(({ timeMs }) => timeMs);
      expect(timesMs.toSorted((a, b) => a - b)).toEqual(timesMs);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "every broken file as chunk 0 ends in a result or a failure with a reason",
    async () => {
      for (const { bytes } of await badMedia()) {
        const { recordingId } = await bed.engine.startRecording({});
        await bed.send(recordingId, { chunks: [bytes] });
        await bed.engine.stopRecording(recordingId);
        const track = await bed.untilTrack(recordingId, "it ended", ({ job }) => {
          // Failures that may pass are tried again after a while.
          bed.clock.advance(60_000);
          return job?.state === "done" || job?.state === "failed";
        });
        if (track.job?.state === "done") expect(track.result?.media?.bytes).toBeGreaterThan(0);
        else expect(track.job?.error).toMatch(/\.$/);
      }
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "an index that needs more room than was guessed gets it",
    async () => {
      const path = join(bed.scratchDirectory, "long.webm");
      const { path: ffmpeg } = await find();
      // Two seconds of noise in large packets, then a minute of silence in very small ones: what the
      // first chunks hold lets far fewer packets expect.
      const args =
        "-v error -f lavfi -i aevalsrc=if(lt(t\\,2)\\,random(0)\\,0):s=48000 -t 60 " +
        "-c:a libopus -vbr on -b:a 256k -frame_duration 2.5 -f webm";
      const made = Bun.spawnSync([ffmpeg, ...args.split(" "), path]);
      expect(made.exitCode).toBe(0);
      const bytes = await Bun.file(path).bytes();
      // The first chunks hold no packet at all, so that the guess is far too low.
      const starts = [0, 10, 20, 30, 40];
      const chunks = starts.map((at, i) => bytes.subarray(at, starts[i + 1] ?? bytes.length));
      const { track, path: mediaPath } = await finalize({ chunks, mimeType: "audio/webm" });
      expect(track.result?.verdict).toBe("complete");
      expect(track.result?.media?.audioPackets).toBeGreaterThan(23_990);
      const [stream] = await streamsOf(mediaPath);
      expect(stream?.packets).toBe(track.result?.media?.audioPackets ?? 0);
    },
    MEDIA_TIMEOUT_MS,
  );

  test(
    "an ffmpeg that drops pictures is caught: the MP4 is made without it, with all of them",
    async () => {
      const { path: ffmpeg, ...rest } = await find();
      const path = join(bed.scratchDirectory, "ffmpeg");
      // Puts `-frames:v 100` before the last argument, the output, when that is an MP4.
      await writeFile(
        path,
        `#!/bin/sh
count=$#; i=0
for argument in "$@"; do
  i=$((i + 1)); shift
  case $i,$argument in $count,*.mp4) set -- "$@" -frames:v 100 ;; esac
  set -- "$@" "$argument"
done
exec '${ffmpeg}' "$@"
`,
        { mode: 0o755 },
      );
      await bed.stop();
      await bed.start({ ...rest, path });
      const { track, path: mediaPath } = await finalize(await sent("h264-opus"));
      expect(track.result).toMatchObject({ verdict: "complete", media: { videoPackets: 180 } });
      expect(track.result?.media?.actionReason).toContain("mediabunny");
      expect(await decodeFrameNumbers(mediaPath)).toHaveLength(180);
    },
    MEDIA_TIMEOUT_MS,
  );

  test("text that names other files gets none of them read", async () => {
    const secret = join(bed.scratchDirectory, "secret.mkv");
    await writeFile(secret, joinChunks((await recordedSegment("vp9-opus")).chunks));
    const attacks = [
      `#EXTM3U\n#EXTINF:6,\nfile://${secret}\n#EXT-X-ENDLIST\n`,
      `ffconcat version 1.0\nfile '${secret}'\n`,
      `<?xml version="1.0"?><MPD><Period><BaseURL>${secret}</BaseURL></Period></MPD>`,
    ];
    for (const attack of attacks) {
      // Admission wants one byte of a header in chunk 0: the rest comes behind it.
      const text = new TextEncoder().encode(attack);
      const record = await bed.finalize({ chunks: [Uint8Array.of(0x1a), text] });
      expect(record.state).toBe("failed");
      const { result } = await bed.track(record.recordingId);
      expect(result).toBeNull();
    }
  });
});
