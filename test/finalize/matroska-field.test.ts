import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { decode, judgeFfmpeg, passThroughOption } from "../support/judge-ffmpeg.ts";
import { dressedRecording } from "../support/dressed-recording.ts";
import { parseRecording } from "../support/matroska-blocks.ts";
import { type Dress, PLAIN_DRESS, writeClusters } from "../support/matroska-writer.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const field = new URL("../fixtures/field/", import.meta.url);

async function fieldBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(new URL(name, field)));
}

/** When each picture that a decoder gives is shown. */
async function pictureTimesMs(path: string): Promise<number[]> {
  const ffmpeg = await judgeFfmpeg();
  const options = ["-map", "0:v:0", "-vf", "showinfo,scale=8:8", ...passThroughOption(ffmpeg)];
  const { log } = await decode(ffmpeg, path, [...options, "-f", "rawvideo"]);
  return [...log.matchAll(/pts_time:(-?[\d.]+(?:e[+-]\d+)?)/g)].map(
    ([, time]) => Number(time) * 1000,
  );
}

describe("Matroska of recorders in the field", () => {
  let bed: FinalizerBed;
  beforeEach(async () => {
    // What is missing is not waited for.
    bed = await FinalizerBed.open(await testFfmpeg(), { stopGraceMs: 0, stopWaitMsMax: 0 });
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  async function made(mimeType: string, ...chunks: readonly (Uint8Array | undefined)[]) {
    const record = await bed.finalize({ chunks, mimeType });
    const { result, job } = await bed.track(record.recordingId);
    return {
      state: record.state,
      reason: result?.reason ?? job?.error ?? record.reason,
      verdict: result?.verdict,
      media: result?.media,
      timeline: result?.timeline,
      path: bed.layout.mediaPath(trackKey(record.recordingId)),
    };
  }

  test.each([
    ["no-first-keyframe-vp8.webm", "video/webm;codecs=vp8,opus"],
    ["no-first-keyframe-vp9.webm", "video/webm;codecs=vp9,opus"],
    ["no-first-keyframe-h264.mkv", "video/x-matroska;codecs=avc1,opus"],
  ])("%s: pictures from the first keyframe on, all the sound", async (name, mimeType) => {
    const { verdict, reason, media, timeline, path } = await made(mimeType, await fieldBytes(name));
    expect([verdict, reason]).toEqual(["degraded", expect.stringContaining("keyframe")]);
    expect(media).toMatchObject({ videoPackets: 60, audioPackets: 301 });
    const timesMs = await pictureTimesMs(path);
    expect(timesMs).toHaveLength(60);
    expect(timesMs[0]).toBeWithin(1_990, 2_030);
    const [gap, ...others] = timeline?.gaps ?? [];
    expect(others).toEqual([]);
    expect(gap).toMatchObject({ cause: "damaged", streams: ["video"] });
    // Sound begins 6.5 ms before its first block, by the codec's delay.
    expect(gap?.fromMs).toBeWithin(-7, 1);
    expect(gap?.toMs).toBeWithin(1_990, 2_030);
  });

  test("laced packets are all there", async () => {
    const { verdict, reason, media } = await made(
      "audio/webm;codecs=opus",
      await fieldBytes("laced-opus.webm"),
    );
    expect([verdict, reason]).toEqual(["complete", null]);
    expect(media?.audioPackets).toBe(200);
    expect(media?.durationMs).toBeWithin(3_980, 4_020);
  });

  test("a Cluster that is too long for its blocks' times is unwrapped", async () => {
    const { verdict, reason, media, path } = await made(
      "video/webm;codecs=vp9,opus",
      await fieldBytes("one-cluster-60s.webm"),
    );
    expect([verdict, reason]).toEqual(["complete", null]);
    expect(media).toMatchObject({ videoPackets: 300, audioPackets: 1_001 });
    expect(media?.durationMs).toBeWithin(59_900, 60_100);
    expect(await pictureTimesMs(path)).toHaveLength(300);
  });

  test.each([
    { clustersAreSized: true, clusterSizeBytes: 2, inCluster: ["crc"] },
    { inCluster: ["crc", "void", "position"], betweenClusters: ["cues", "tags", "void"] },
    { form: "group", lacing: "ebml", lacedFrames: 3, blocksBeforeTime: 2, sizeBytes: 8 },
    { clusterTicks: Infinity, segmentSizeBytes: 1, clusterSizeBytes: 1, beforeSegment: ["void"] },
  ] satisfies Partial<Dress>[])("becomes the same MP4 in any dress: %p", async (own) => {
    const dress = { ...PLAIN_DRESS, ...own };
    for (const name of ["vp8-opus", "h264-opus"] as const) {
      const { chunks: recorded, mimeType } = await recordedSegment(name);
      const plain = await made(mimeType, ...recorded.map(({ payload }) => payload));
      const plainTimesMs = await pictureTimesMs(plain.path);
      const { chunks } = await dressedRecording(name, dress, 9);
      const { verdict, reason, media, path } = await made(mimeType, ...chunks);
      expect([verdict, reason]).toEqual(["complete", null]);
      expect(media).toMatchObject({
        videoPackets: plain.media?.videoPackets,
        audioPackets: plain.media?.audioPackets,
        durationMs: plain.media?.durationMs,
      });
      expect(await pictureTimesMs(path)).toEqual(plainTimesMs);
    }
  });

  test("with checksums, one lost chunk of 40 costs what it touches, and the gap is named", async () => {
    const dress = { ...PLAIN_DRESS, clustersAreSized: true, inCluster: ["crc" as const] };
    const { chunks, mimeType } = await dressedRecording("h264-opus", dress, 40);
    const whole = await made(mimeType, ...chunks);
    const holed = await made(mimeType, ...chunks.map((chunk, i) => (i === 14 ? undefined : chunk)));
    expect(holed.verdict).toBe("degraded");
    const gaps = holed.timeline?.gaps ?? [];
    const lostMs = (stream: "video" | "audio"): number =>
      gaps
        .filter(({ streams }) => streams.includes(stream))
        .reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
    // A chunk has about 150 ms; pictures need the next keyframe, at 3,371 ms.
    expect(lostMs("audio")).toBeWithin(60, 400);
    expect(lostMs("video")).toBeWithin(60, 3_000);
    expect(gaps.every(({ toMs }) => toMs < 3_400)).toBeTrue();
    expect(gaps.map(({ cause }) => cause)).toContain("missing-chunks");
    expect(holed.media?.durationMs).toBe(whole.media?.durationMs ?? 0);
  });

  test("pictures that have no keyframe at all are left to the decoder", async () => {
    const bytes = await fieldBytes("no-first-keyframe-vp9.webm");
    const { header, blocks } = parseRecording(bytes);
    const firstKey = blocks.findIndex(({ isVideo, isKey }) => isVideo && isKey);
    const packets = blocks.slice(0, firstKey).map(({ isVideo, timeMs, isKey, data }) => ({
      track: isVideo ? (1 as const) : (2 as const),
      ticks: timeMs,
      isKey,
      data,
    }));
    const keyless = writeClusters(packets, PLAIN_DRESS, header);
    const { verdict, media } = await made("video/webm", new Uint8Array(keyless.bytes));
    expect(verdict).toBeDefined();
    expect(media?.audioPackets).toBeGreaterThan(90);
  });
});
