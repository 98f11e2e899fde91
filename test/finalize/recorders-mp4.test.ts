import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Mark } from "../../src/contract/marks.ts";
import { boxAt } from "../../src/finalize/mp4-boxes.ts";
import type { TrackRecord } from "../../src/recording/ports.ts";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { decode, judgeFfmpeg, passThroughOption } from "../support/judge-ffmpeg.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const FIELD = join(import.meta.dir, "../fixtures/field");
const CHUNK_BYTES = 20_000;

/** Decoded times are rounded to ticks, and printed with six digits. */
const ROUNDING_MS = 2;

/** A tone that rests for so long begins anew. */
const REST_MS = 250;
/** 1,024 samples. */
const AAC_PACKET_MS = 1_024 / 48;

let bed: FinalizerBed;
let scratch: TemporaryDirectory;

beforeAll(async () => {
  scratch = await temporaryDirectory();
});
afterAll(async () => {
  await scratch[Symbol.asyncDispose]();
});
beforeEach(async () => {
  bed = await FinalizerBed.open(await testFfmpeg());
});
afterEach(async () => {
  await bed[Symbol.asyncDispose]();
});

async function field(name: string): Promise<Buffer> {
  return Buffer.from(await Bun.file(join(FIELD, name)).bytes());
}

interface Delivered {
  readonly track: TrackRecord;
  readonly path: string;
  /** When the recording was started, on the server's clock. */
  readonly startedAtMs: number;
}

/** Sends sources, each so long after the start, in chunks that end anywhere. */
async function deliver(
  sources: readonly { readonly bytes: Buffer; readonly atMs: number }[],
  marksOf: (startedAtMs: number) => Mark[] = () => [],
): Promise<Delivered> {
  const startedAtMs = bed.clock.nowMs();
  const { recordingId } = await bed.engine.startRecording({});
  // Nobody captures what is still to come.
  bed.clock.advance(60_000);
  for (const { bytes, atMs } of sources) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      chunks.push(bytes.subarray(at, at + CHUNK_BYTES));
    }
    await bed.send(recordingId, {
      chunks,
      mimeType: "video/mp4",
      capturedAtMs: [startedAtMs + atMs],
      marks: marksOf(startedAtMs),
    });
  }
  await bed.engine.stopRecording(recordingId);
  await bed.untilState(recordingId, "ready", "failed");
  const track = await bed.track(recordingId);
  return { track, path: bed.layout.mediaPath(trackKey(recordingId)), startedAtMs };
}

function paused(startedAtMs: number): Mark[] {
  return [
    { type: "began", atMs: startedAtMs, reason: "start", pictures: "continuous" },
    { type: "paused", atMs: startedAtMs + 1_500 },
    { type: "resumed", atMs: startedAtMs + 2_500 },
  ];
}

/** When pictures are shown, in order, as each build has it; both must agree. */
async function shownMs(path: string, inputOptions: readonly string[] = []): Promise<number[]> {
  const builds = [await judgeFfmpeg(), await resolveFfmpeg(systemFfmpegLookup({}))];
  const times: number[][] = [];
  for (const ffmpeg of builds) {
    const output = [...passThroughOption(ffmpeg), "-f", "null"];
    const { log } = await decode(
      ffmpeg,
      path,
      ["-map", "0:v:0", "-vf", "showinfo", ...output],
      inputOptions,
    );
    const own = [...log.matchAll(/pts_time:(-?[\d.]+(?:e[+-]\d+)?)/g)];
    times.push(own.map(([, time]) => Math.round(Number(time) * 1_000)));
  }
  expect(times[1]).toEqual(times[0] ?? []);
  return (times[0] ?? []).toSorted((a, b) => a - b);
}

/** When tones begin, in milliseconds of the file. */
async function tonesMs(path: string): Promise<number[]> {
  const filters = "aresample=48000:async=1:first_pts=0";
  const output = ["-map", "0:a:0", "-af", filters, "-ac", "1", "-f", "f32le"];
  const { bytes } = await decode(await judgeFfmpeg(), path, output);
  const tones: number[] = [];
  let heardMs = -Infinity;
  for (const [i, value] of new Float32Array(bytes.buffer).entries()) {
    if (Math.abs(value) <= 0.05) continue;
    if (i / 48 - heardMs > REST_MS) tones.push(i / 48);
    heardMs = i / 48;
  }
  return tones;
}

/** The source with each `tfdt` moved by as many seconds. */
function movedBySeconds(
  source: Buffer,
  seconds: number,
  ticksPerSecond: readonly number[],
): Buffer {
  const bytes = Buffer.from(source);
  let fragments = 0;
  for (let at = bytes.indexOf("tfdt"); at !== -1; at = bytes.indexOf("tfdt", at + 4)) {
    const ticks = ticksPerSecond[fragments % ticksPerSecond.length] ?? 0;
    expect(bytes.readUInt8(at + 4)).toBe(1);
    const moved = bytes.readBigInt64BE(at + 8) + BigInt(seconds * ticks);
    bytes.writeBigInt64BE(moved, at + 8);
    fragments += 1;
  }
  return bytes;
}

describe("MP4 as recorders write it", () => {
  test("pictures whose composition offsets are negative begin with the sound", async () => {
    const { track, path } = await deliver([
      { bytes: await field("frag-negative-cts.mp4"), atMs: 0 },
    ]);
    expect(track.result).toMatchObject({
      verdict: "complete",
      media: { videoPackets: 96, audioPackets: 189, action: "copy" },
    });
    for (const options of [[], ["-ignore_editlist", "1"]]) {
      const times = await shownMs(path, options);
      expect(times.length).toBe(96);
      expect(times[0]).toBe(0);
    }
  });

  for (const seconds of [3_600, -1]) {
    test(`fragments whose times begin at ${seconds} s make a file that begins at zero`, async () => {
      const source = await field("frag-negative-cts.mp4");
      const bytes = movedBySeconds(source, seconds, [12_288, 48_000]);
      const { track, path } = await deliver([{ bytes, atMs: 500 }]);
      expect(track.result?.media).toMatchObject({ videoPackets: 96, audioPackets: 189 });
      expect(track.result?.timeline?.offsetMs).toBe(500);
      expect((await shownMs(path))[0]).toBe(0);
    });
  }

  test("every picture out of order is shown behind a pause, and none early without edit lists", async () => {
    const bytes = await field("b-frames-aac.mp4");
    const { track, path } = await deliver([{ bytes, atMs: 0 }], paused);
    expect(track.result).toMatchObject({ verdict: "complete", media: { videoPackets: 100 } });
    for (const options of [[], ["-ignore_editlist", "1"]]) {
      const times = await shownMs(path, options);
      expect(times.length).toBe(100);
      expect(times[0]).toBe(0);
      expect(Math.abs((times.at(-1) ?? 0) - 4_960)).toBeLessThanOrEqual(ROUNDING_MS);
    }
    expect(track.result?.timeline?.durationMs).toBe(5_000);
  });

  test("segments with and without pictures out of order are joined, all shown at their times", async () => {
    const [ordered, reordered] = [
      await field("aac-editlist-tone-2s.mp4"),
      await field("b-frames-aac.mp4"),
    ];
    const { track, path } = await deliver([
      { bytes: reordered, atMs: 0 },
      { bytes: ordered, atMs: 5_000 },
      { bytes: reordered, atMs: 10_000 },
    ]);
    expect(track.result?.verdict).toBe("complete");
    const times = await shownMs(path);
    expect(times.length).toBe(100 + 60 + 100);
    expect([times[0], times[100], times[160]]).toEqual([0, 5_000, 10_000]);
  });

  test("a capture time names the first sample that is heard, not what a decoder warms up on", async () => {
    const bytes = await field("aac-8k-mono.mp4");
    const { track } = await deliver([{ bytes, atMs: 2_000 }]);
    expect(track.result).toMatchObject({
      verdict: "complete",
      media: { audioPackets: 33, durationMs: 4_000 },
      timeline: { offsetMs: 2_000, durationMs: 4_000 },
    });
  });

  test("sound behind priming is heard at its time, alone, behind a gap and right behind other sound", async () => {
    const bytes = await field("aac-editlist-tone-2s.mp4");
    const alone = await deliver([{ bytes, atMs: 0 }]);
    expect(alone.track.result?.timeline?.offsetMs).toBe(0);
    const [tone = 0] = await tonesMs(alone.path);
    expect(Math.abs(tone - 2_000)).toBeLessThanOrEqual(ROUNDING_MS);
    for (const atMs of [6_000, 4_000]) {
      const { track, path } = await deliver([
        { bytes, atMs: 0 },
        { bytes, atMs },
      ]);
      const [, , again = 0] = await tonesMs(path);
      // Silence is made of whole packets, and the last one before is longer than what it holds.
      expect(Math.abs(again - atMs - 2_000)).toBeLessThanOrEqual(AAC_PACKET_MS);
      expect(track.result?.verdict).toBe("complete");
      const gaps = track.result?.timeline?.gaps.map(({ cause }) => cause) ?? [];
      expect(gaps).toEqual(atMs === 4_000 ? [] : ["between-segments"]);
    }
  });

  test("a last picture that claims to last for seconds lasts as long as the others", async () => {
    const { track } = await deliver([{ bytes: await field("frag-last-sample-6s.mp4"), atMs: 0 }]);
    expect(track.result).toMatchObject({
      verdict: "complete",
      media: { videoPackets: 90, durationMs: 6_000 },
      timeline: { durationMs: 6_000 },
    });
  });

  for (const flags of ["true", "lying"]) {
    test(`pictures before the first keyframe are left out and named, by ${flags} flags`, async () => {
      const path = join(scratch.path, "every-frame.mp4");
      const { path: ffmpeg } = await judgeFfmpeg();
      const options =
        "-y -v error -f lavfi -i testsrc2=s=320x180:r=15:d=4 -f lavfi -i sine=440:r=48000:d=4 " +
        "-c:v libx264 -g 30 -bf 0 -c:a aac -movflags frag_every_frame+empty_moov+default_base_moof";
      const made = Bun.spawnSync([ffmpeg, ...options.split(" "), path]);
      expect(made.stderr.toString()).toBe("");
      const source = withoutFirstPicture(Buffer.from(await Bun.file(path).bytes()));
      const bytes = flags === "lying" ? claimingKeyframes(source) : source;
      const { track, path: mp4Path } = await deliver([{ bytes, atMs: 0 }]);
      expect(track.result?.verdict).toBe("degraded");
      expect(track.result?.reason).toContain("keyframe");
      expect(track.result?.media?.videoPackets).toBe(30);
      const [gap] = track.result?.timeline?.gaps ?? [];
      expect(gap).toMatchObject({ cause: "damaged", streams: ["video"], fromMs: 0 });
      expect(Math.abs((gap?.toMs ?? 0) - 2_000)).toBeLessThanOrEqual(30);
      expect((await shownMs(mp4Path)).length).toBe(30);
    });
  }

  for (const { lost, gaps } of [
    // At 15 pictures a second with a keyframe every 2 s.
    { lost: { track: 1, sample: 40 }, gaps: [[2_667, 4_000]] },
    { lost: { track: 1, sample: 30 }, gaps: [[2_000, 4_000]] },
    { lost: { track: 1, sample: 59 }, gaps: [] },
    { lost: { track: 2, sample: 100 }, gaps: [] },
  ]) {
    const of = lost.track === 1 ? "picture" : "packet of sound";
    test(`behind a lost fragment of ${of} ${lost.sample} pictures that need it are named as damaged`, async () => {
      const path = join(scratch.path, "fragments.mp4");
      const options =
        "-f lavfi -i testsrc2=s=320x180:r=15:d=6 -f lavfi -i sine=440:r=48000:d=6 -c:v libx264 -g 30 " +
        "-bf 0 -c:a aac -movflags frag_every_frame+empty_moov+default_base_moof";
      await make(options, path);
      const chunks = fragmentsWithout(Buffer.from(await Bun.file(path).bytes()), lost);
      const waits = { stopGraceMs: 0, stopWaitMsMax: 0 };
      await using impatient = await FinalizerBed.open(await testFfmpeg(), waits);
      const { recordingId } = await impatient.finalize({ chunks, mimeType: "video/mp4" });
      const { result } = await impatient.track(recordingId);
      expect(result?.verdict).toBe("degraded");
      // All that came is there.
      expect(result?.media?.videoPackets).toBe(lost.track === 1 ? 89 : 90);
      const damaged = (result?.timeline?.gaps ?? []).filter(({ cause }) => cause === "damaged");
      const spans = damaged.map(({ fromMs, toMs }) => [fromMs, toMs]);
      expect(spans.length).toBe(gaps.length);
      for (const [i, [fromMs = 0, toMs = 0]] of gaps.entries()) {
        expect(Math.abs((spans[i]?.[0] ?? 0) - fromMs)).toBeLessThanOrEqual(100);
        expect(Math.abs((spans[i]?.[1] ?? 0) - toMs)).toBeLessThanOrEqual(100);
      }
    });
  }

  for (const [name, options] of [
    ["of an open GOP", "-bf 2 -x264-params open-gop=1 -c:a aac"],
    ["before the begin of the edit list", "-bf 0 -c:a aac -output_ts_offset -1"],
  ] as const) {
    test(`keyframes ${name} that a decoder shows no other way are not taken for damaged`, async () => {
      const path = join(scratch.path, "keyframes.mp4");
      const inputs = "-f lavfi -i testsrc2=s=320x180:r=25:d=3 -f lavfi -i sine=440:r=48000:d=3";
      await make(`${inputs} -c:v libx264 -g 20 ${options}`, path);
      const { track } = await deliver([
        { bytes: Buffer.from(await Bun.file(path).bytes()), atMs: 0 },
      ]);
      expect(track.result).toMatchObject({ verdict: "complete", reason: null });
    });
  }

  test("of a file whose index stands in front all that came before a lost chunk is delivered", async () => {
    const path = join(scratch.path, "index-in-front.mp4");
    const { path: ffmpeg } = await judgeFfmpeg();
    const source = join(FIELD, "b-frames-aac.mp4");
    const args = ["-v", "error", "-i", source, "-c", "copy", "-movflags", "faststart", path];
    expect(await Bun.spawn([ffmpeg, ...args], { stderr: "inherit" }).exited).toBe(0);
    const whole = Buffer.from(await Bun.file(path).bytes());
    const waits = { stopGraceMs: 0, stopWaitMsMax: 0 };
    await using impatient = await FinalizerBed.open(await testFfmpeg(), waits);
    const { recordingId } = await impatient.finalize({
      chunks: [0, 1, 2, 3, 4, 5].map((i) =>
        i === 3 ? undefined : whole.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
      ),
      mimeType: "video/mp4",
    });
    const { result } = await impatient.track(recordingId);
    expect(result).toMatchObject({ verdict: "degraded" });
    expect(result?.reason).toContain("lacks chunks 3");
    const shown = await shownMs(impatient.layout.mediaPath(trackKey(recordingId)));
    // Half of the bytes; B-frames whose later reference is lost are not shown.
    expect(shown.length).toBeGreaterThan(35);
    expect(shown.length).toBeLessThan(70);
    expect(shown[0]).toBe(0);
  });

  test("pictures whose parameter sets a browser left out are named as damaged", async () => {
    const bytes = await field("h264-avc1-resize-stripped.mp4");
    const { track } = await deliver([{ bytes, atMs: 0 }]);
    expect(track.result?.verdict).toBe("degraded");
    expect(track.result?.reason).toContain("0:02.0 to 0:04.0");
    expect(track.result?.media?.videoPackets).toBe(60);
    expect(track.result?.timeline?.gaps).toMatchObject([
      { cause: "damaged", streams: ["video"], fromMs: 2_000 },
    ]);
  });
});

/** Has ffmpeg make a file. */
async function make(options: string, path: string): Promise<void> {
  const { path: ffmpeg } = await judgeFfmpeg();
  const made = Bun.spawnSync([ffmpeg, "-y", "-v", "error", ...options.split(" "), path]);
  expect(made.stderr.toString()).toBe("");
}

/** The header of a source and each of its fragments, but for the one of one sample of a track, from 0. */
function fragmentsWithout(
  source: Buffer,
  { track, sample }: { readonly track: number; readonly sample: number },
): (Buffer | undefined)[] {
  const chunks: (Buffer | undefined)[] = [];
  let [from, samples, isLost] = [0, 0, false];
  for (let at = 0; at < source.length;) {
    const box = boxAt(source, at, source.length - at);
    if (box === undefined) break;
    const bytes = source.subarray(at, at + box.size);
    at += box.size;
    if (box.type === "moof" && bytes.readUInt32BE(bytes.indexOf("tfhd") + 8) === track) {
      isLost = samples === sample;
      samples += 1;
    }
    if (box.type !== "mdat" && box.type !== "moov") continue;
    chunks.push(isLost ? undefined : source.subarray(from, at));
    [from, isLost] = [at, false];
  }
  expect(samples).toBeGreaterThan(sample);
  return chunks;
}

/** The source, in which every picture says that it is a keyframe. */
function claimingKeyframes(source: Buffer): Buffer {
  const bytes = Buffer.from(source);
  for (let at = bytes.indexOf("tfhd"); at !== -1; at = bytes.indexOf("tfhd", at + 4)) {
    // `default_sample_flags`, behind the track's ID and the defaults of duration and size.
    if (bytes.readUInt32BE(at + 8) === 1) bytes.writeUInt32BE(0x02000000, at + 20);
  }
  return bytes;
}

/** The source without the first fragment of its first track, which holds one sample. */
function withoutFirstPicture(source: Buffer): Buffer {
  for (let at = 0; at < source.length;) {
    const box = boxAt(source, at, source.length - at);
    if (box === undefined) break;
    const moof = source.subarray(at, at + box.size);
    const header = moof.indexOf("tfhd");
    if (box.type === "moof" && moof.readUInt32BE(header + 8) === 1) {
      const media = boxAt(source, at + box.size, source.length)?.size ?? 0;
      return Buffer.concat([source.subarray(0, at), source.subarray(at + box.size + media)]);
    }
    at += box.size;
  }
  throw new RangeError("There is no fragment of the first track");
}
