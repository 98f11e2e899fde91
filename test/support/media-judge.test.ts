import { expect, test } from "bun:test";
import { decodeFrameNumbers } from "./media-judge.ts";
import { onlyStream, startSkewMs, streamsOf, totalDurationMs } from "./media-streams.ts";
import { badMedia, joinChunks, recordedSegment } from "./recorded-media.ts";
import { soundOf } from "./sound-judge.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

async function recordedFile(
  directory: string,
  name: Parameters<typeof recordedSegment>[0],
  withoutSequence?: number,
): Promise<string> {
  const { chunks } = await recordedSegment(name);
  const path = `${directory}/${name}`;
  await Bun.write(path, joinChunks(chunks.filter(({ sequence }) => sequence !== withoutSequence)));
  return path;
}

test("every picture's number and time is read from a recording, whatever its codec", async () => {
  await using directory = await temporaryDirectory();
  const frames = await decodeFrameNumbers(await recordedFile(directory.path, "h264-opus"));
  expect(frames.map(({ number }) => number)).toEqual(Array.from({ length: 180 }, (_, i) => i));
  expect(frames.at(-1)?.timeMs).toBeCloseTo(5971, 0);
  for (const name of ["vp8-opus", "vp9-opus", "av1-opus", "mp4-vp9-opus"] as const) {
    const numbers = (await decodeFrameNumbers(await recordedFile(directory.path, name))).map(
      ({ number }) => number,
    );
    expect(numbers.length).toBeGreaterThanOrEqual(180);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.at(-1)).toBeGreaterThanOrEqual(179);
  }
}, 30_000);

test("a recording without one of its chunks is not taken for whole", async () => {
  await using directory = await temporaryDirectory();
  const path = await recordedFile(directory.path, "h264-opus", 3);
  // ffmpeg itself hides the loss.
  const numbers = (await decodeFrameNumbers(path)).map(({ number }) => number);
  expect(numbers).not.toEqual(Array.from({ length: 180 }, (_, i) => i));
  expect(onlyStream(await streamsOf(path), "video").packets).toBeLessThan(180);
});

test("a picture without a barcode is refused rather than read as some number", async () => {
  await using directory = await temporaryDirectory();
  const bad = (await badMedia()).find(({ name }) => name === "split.webm");
  if (bad === undefined) throw new Error("bad/split.webm is gone");
  await Bun.write(`${directory.path}/split.webm`, bad.bytes);
  expect(decodeFrameNumbers(`${directory.path}/split.webm`)).rejects.toThrow(/barcode|decode/);
});

test("packets, skew and duration come from the packets themselves", async () => {
  await using directory = await temporaryDirectory();
  const streams = await streamsOf(await recordedFile(directory.path, "h264-opus"));
  expect(onlyStream(streams, "video")).toMatchObject({
    codec: "avc",
    packets: 180,
    firstTimeMs: 0,
  });
  expect(onlyStream(streams, "audio")).toMatchObject({ codec: "opus", packets: 100 });
  expect(startSkewMs(streams)).toBeCloseTo(-39, 3);
  expect(totalDurationMs(streams)).toBeCloseTo(6_037, 0);
});

test("the tone and how long it sounds are heard", async () => {
  await using directory = await temporaryDirectory();
  const { frequencyHz, loudMs } = await soundOf(await recordedFile(directory.path, "audio-opus"));
  expect(Math.abs(frequencyHz - 440)).toBeLessThan(2);
  expect(loudMs).toBeGreaterThan(5_800);
  expect(loudMs).toBeLessThan(6_100);
});
