import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectProblem } from "../http/expect-problem.ts";
import { type DecodedFrame, decodeFrameNumbers } from "../support/media-judge.ts";
import { streamsOf } from "../support/media-streams.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { numberedSource } from "../support/numbered-source.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { readLive } from "./live-reader.ts";
import { oneKeyframeChunks } from "./picture-chunks.ts";

let server: TrackCaptureServer;
let api: RecordingsApi;
let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer({ env: { LOG_LEVEL: "debug" } });
  api = new RecordingsApi(server.url);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

/** A track that is being recorded, chunk by chunk as the test says. */
async function runningTrack(name: RecordedName) {
  const { chunks, mimeType } = await recordedSegment(name);
  const recordingId = await api.start();
  const track = { recordingId, participantId: "ada", trackId: "camera" };
  const newSegment = () => {
    const segmentId = crypto.randomUUID();
    return {
      segmentId,
      upload: async (...sequences: readonly number[]): Promise<void> => {
        for (const sequence of sequences) {
          const { payload } = chunks[sequence] ?? { payload: new Uint8Array() };
          await api.upload({ ...track, segmentId, mimeType, sequence, chunks: [payload] });
        }
      },
      end: () => api.endSegment(recordingId, segmentId, chunks.length),
    };
  };
  return { ...newSegment(), newSegment, chunks, recordingId, url: api.trackUrl(track, "source") };
}

/** Pictures in `oneKeyframe`, one second each. */
const SECONDS = 60;

/** As a recorder sends it that makes no keyframe but the first: a Cluster and a chunk each second. */
async function oneKeyframe(): Promise<Buffer<ArrayBuffer>[]> {
  const { path: ffmpeg } = await judgeFfmpeg();
  const size = { width: 320, height: 180 };
  const picture = { ...size, firstNumber: 0, codec: "h264", stepMs: 1_000 } as const;
  const name = crypto.randomUUID();
  const durationMs = SECONDS * 1_000;
  const source = await numberedSource(directory.path, name, { picture, toneHz: null, durationMs });
  const encoding = "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -auto-alt-ref 0 -g 9999";
  const path = join(directory.path, `${name}.webm`);
  const command = `${ffmpeg} -v error -nostdin -i ${source} ${encoding} -cluster_time_limit 500 -y ${path}`;
  expect(await Bun.spawn(command.split(" "), { stderr: "inherit" }).exited).toBe(0);
  const bytes = Buffer.from(await Bun.file(path).arrayBuffer());
  const clusters: number[] = [];
  const magic = Buffer.from("1f43b675", "hex");
  for (let at = bytes.indexOf(magic); at !== -1; at = bytes.indexOf(magic, at + 1)) {
    clusters.push(at);
  }
  expect(clusters.length).toBe(SECONDS);
  return [0, ...clusters].map((from, i) => bytes.subarray(from, clusters[i]));
}

/** Uploads the header and the chunks of VP8 behind it, of a screen. */
async function runningScreen(chunks: readonly Buffer<ArrayBuffer>[]): Promise<string> {
  const recordingId = await api.start();
  const track = { recordingId, participantId: "ada", trackId: "screen" };
  const segment = { segmentId: crypto.randomUUID(), mimeType: "video/webm;codecs=vp8" };
  for (const [sequence, chunk] of chunks.entries()) {
    await api.upload({ ...track, ...segment, sequence, chunks: [new Uint8Array(chunk)] });
  }
  return api.trackUrl(track, "source");
}

async function saved(bytes: Uint8Array): Promise<string> {
  const path = join(directory.path, crypto.randomUUID());
  await Bun.write(path, bytes);
  return path;
}

function numbersOf(frames: readonly DecodedFrame[]): number[] {
  return frames.map(({ number }) => number);
}

describe("a live view", () => {
  test.each([
    ["vp8-opus", 'video/webm; codecs="vp8,opus"'],
    ["vp9-opus", 'video/webm; codecs="vp9,opus"'],
    ["av1-opus", 'video/webm; codecs="av01.0.09M.08,opus"'],
    ["h264-opus", 'video/mp4; codecs="avc1.42c01f,opus"'],
  ] as const)(
    "of %s gives every picture as it comes, and ends with the segment",
    async (name, type) => {
      const track = await runningTrack(name);
      await track.upload(0, 1, 2);
      const live = await readLive(track.url);
      expect(live).toMatchObject({ status: 200, contentType: type, segmentId: track.segmentId });
      await live.more(1_000);
      for (const sequence of [3, 4]) {
        const before = live.bytes().length;
        await track.upload(sequence);
        await live.more(before);
      }
      await track.upload(5);
      await track.end();
      await live.ended;

      const shown = await saved(live.bytes());
      const source = await saved(joinChunks(track.chunks));
      const frames = await decodeFrameNumbers(shown);
      const expected = await decodeFrameNumbers(source);
      expect(numbersOf(frames)).toEqual(numbersOf(expected));
      for (const [i, { timeMs }] of frames.entries()) {
        expect(Math.abs(timeMs - (expected[i]?.timeMs ?? 0))).toBeLessThan(2);
      }
      const sound = (await streamsOf(shown)).find(({ kind }) => kind === "audio");
      const soundOfSource = (await streamsOf(source)).find(({ kind }) => kind === "audio");
      expect(sound).toMatchObject({ packets: soundOfSource?.packets, bytes: soundOfSource?.bytes });
      for (const [i, timeMs] of (sound?.timesMs ?? []).entries()) {
        expect(Math.abs(timeMs - (soundOfSource?.timesMs[i] ?? 0))).toBeLessThan(25);
      }
    },
  );

  test("of sound alone begins with its last second", async () => {
    const track = await runningTrack("audio-opus");
    await track.upload(0, 1, 2, 3);
    const live = await readLive(track.url);
    expect(live.contentType).toBe('audio/webm; codecs="opus"');
    await live.more(100);
    await track.upload(4, 5);
    await track.end();
    await live.ended;
    const [sound] = await streamsOf(await saved(live.bytes()));
    expect(sound?.firstTimeMs).toBeGreaterThan(2_500);
    expect(sound?.firstTimeMs).toBeLessThan(3_500);
    expect(sound?.timesMs.at(-1)).toBe(5_938);
  });

  test("waits for a missing chunk, which comes a little later", async () => {
    const track = await runningTrack("vp8-opus");
    await track.upload(0, 1);
    const live = await readLive(track.url);
    await live.more(1_000);
    await track.upload(3, 2, 4, 5);
    await track.end();
    await live.ended;
    const expected = await decodeFrameNumbers(await saved(joinChunks(track.chunks)));
    const frames = await decodeFrameNumbers(await saved(live.bytes()));
    expect(numbersOf(frames)).toEqual(numbersOf(expected));
  });

  test("goes on behind a chunk that does not come", async () => {
    const track = await runningTrack("audio-opus");
    await track.upload(0, 1);
    const live = await readLive(track.url);
    await live.more(100);
    await track.upload(3, 4);
    const before = live.bytes().length;
    await live.more(before);
    await track.upload(5);
    await track.end();
    // Its second chunk is still missing when the segment's total is known: nothing more comes.
    await live.ended;
    const [sound] = await streamsOf(await saved(live.bytes()));
    expect(sound?.timesMs.at(-1)).toBe(5_938);
    expect(sound?.packets).toBeLessThan(100);
  });

  test("ends when a newer segment begins, and gives that one when asked again", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1);
    const first = await readLive(track.url);
    const second = track.newSegment();
    await second.upload(0);
    await first.ended;
    const live = await readLive(track.url);
    expect(live.segmentId).toBe(second.segmentId);
    live.leave();
  });

  test("of two recorders at once shows the newest, then the other one that goes on", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1);
    const second = track.newSegment();
    await second.upload(0, 1, 2);
    await track.upload(2);
    const newest = await readLive(track.url);
    expect(newest.segmentId).toBe(second.segmentId);
    await second.upload(3, 4, 5);
    await second.end();
    await newest.ended;
    const live = await readLive(track.url);
    expect(live).toMatchObject({ status: 200, segmentId: track.segmentId });
    await live.more(1_000);
    const before = live.bytes().length;
    await track.upload(3);
    await until(() => live.bytes().length > before || undefined, {
      what: "the next chunk",
      timeoutMs: 20_000,
    });
    live.leave();
  });

  test("is none when only the rest of a page is left that was reloaded", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1);
    const second = track.newSegment();
    await second.upload(0, 1, 2, 3, 4, 5);
    await second.end();
    await expectProblem(await fetch(`${track.url}?live`), 409, "not-live");
  });

  test("ends when the recording is stopped, and there is none afterwards", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1);
    const live = await readLive(track.url);
    await api.stop(track.recordingId);
    await live.ended;
    await expectProblem(await fetch(`${track.url}?live`), 409, "not-live");
  });

  test("is none of a track whose recorder has stopped, until the next one begins", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1, 2, 3, 4, 5);
    await track.end();
    await expectProblem(await fetch(`${track.url}?live`), 409, "not-live");
    await track.newSegment().upload(0);
    const live = await readLive(track.url);
    expect(live.status).toBe(200);
    live.leave();
  });

  test("of a recorder that makes no keyframe but the first begins with that", async () => {
    const live = await readLive(await runningScreen(await oneKeyframe()));
    expect(live).toMatchObject({ status: 200, contentType: 'video/webm; codecs="vp8"' });
    await live.more(1_000);
    const frames = await decodeFrameNumbers(await saved(live.bytes()));
    expect(numbersOf(frames)).toEqual(Array.from({ length: SECONDS }, (_, i) => i));
    live.leave();
  });

  test("of a picture whose keyframe has not come is to be asked for again", async () => {
    const [header = Buffer.alloc(0), , ...later] = await oneKeyframe();
    const url = await runningScreen([header, ...later]);
    await expectProblem(await fetch(`${url}?live`), 409, "not-live");
  });

  test("of codecs that no browser is given says so", async () => {
    const track = await runningTrack("mp4-vp9-opus");
    await track.upload(0, 1);
    await expectProblem(await fetch(`${track.url}?live`), 409, "live-unsupported");
  });

  test("is given to many at once, and frees what it holds when they leave", async () => {
    const track = await runningTrack("vp9-opus");
    await track.upload(0, 1);
    const viewers = await Promise.all(Array.from({ length: 20 }, () => readLive(track.url)));
    const before = viewers.map((live) => live.bytes().length);
    await track.upload(2);
    await Promise.all(viewers.map((live, i) => live.more(before[i] ?? 0)));
    for (const live of viewers) live.leave();
    const ended = new RegExp(
      `"recordingId":"${track.recordingId}".*"viewers":0,"heldBytes":0.*live view ended`,
    );
    await until(() => ended.test(server.stderr()) || undefined, {
      what: "the last viewer has left",
      timeoutMs: 10_000,
    });
  });
});

test("beyond the limit of bytes that wait for viewers, new ones get 503 with Retry-After until another leaves", async () => {
  // More than the system's own buffers take of it, so that a viewer who does not read keeps it waiting.
  const chunkBytes = 16 * 1024 * 1024;
  await using own = await startServer({ env: { VIEWER_BYTES_MAX: String(2.5 * chunkBytes) } });
  const ownApi = new RecordingsApi(own.url);
  const track = { recordingId: await ownApi.start(), participantId: "ada", trackId: "screen" };
  const segment = { segmentId: crypto.randomUUID(), mimeType: "video/webm;codecs=vp8" };
  const chunks = [...oneKeyframeChunks(1, chunkBytes)];
  await ownApi.upload({ ...track, ...segment, sequence: 0, chunks });
  const source = ownApi.trackUrl(track, "source");
  const url = `${source}?live`;
  const first = new AbortController();
  const response = await fetch(url, { signal: first.signal });
  expect(response.status).toBe(200);
  const refused = await fetch(url);
  expect(refused.headers.get("retry-after")).toBe("5");
  await expectProblem(refused, 503, "overloaded");
  await expectProblem(await fetch(source), 503, "overloaded");
  first.abort();
  const second = await until(
    async () => {
      const leaving = new AbortController();
      const answer = await fetch(url, { signal: leaving.signal });
      leaving.abort();
      return answer.status === 200 || undefined;
    },
    { what: "a viewer is let in again", timeoutMs: 10_000 },
  );
  expect(second).toBe(true);
});

test("a server that is stopped does not wait for those who watch", async () => {
  await using own = await startServer({ env: { SHUTDOWN_TIMEOUT_MS: "600000" } });
  api = new RecordingsApi(own.url);
  const track = await runningTrack("vp9-opus");
  await track.upload(0, 1);
  const live = await readLive(track.url);
  await live.more(1_000);
  expect(await own.stop()).toBe(0);
  await live.ended;
  api = new RecordingsApi(server.url);
});
