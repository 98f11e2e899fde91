import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { decode, judgeFfmpeg, passThroughOption } from "../support/judge-ffmpeg.ts";
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
    bed = await FinalizerBed.open(await testFfmpeg());
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
});
