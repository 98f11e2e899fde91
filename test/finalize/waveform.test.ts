import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import { join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { WAVEFORM_POINTS_MAX, waveformSchema } from "../../src/contract/waveform.ts";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import { WaveformMeter, measureWaveform, stepMsOf } from "../../src/finalize/waveform.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
});

afterAll(() => directory[Symbol.asyncDispose]());

test("a waveform never has more points than there may be, and no fewer than a quarter", () => {
  const hourMs = 3_600_000;
  for (const durationMs of [1, 60_000, 80_000, 80_001, hourMs, 8 * hourMs, 500 * hourMs]) {
    const points = Math.ceil(durationMs / stepMsOf(durationMs));
    expect(points).toBeLessThanOrEqual(WAVEFORM_POINTS_MAX);
    if (durationMs > 60_000) expect(points).toBeGreaterThan(WAVEFORM_POINTS_MAX / 6);
  }
  expect(stepMsOf(8 * hourMs)).toBe(10_000);
});

test("the loud second of three is where it is, at its level", async () => {
  const path = join(directory.path, "loud.mp4");
  const { path: ffmpeg } = await judgeFfmpeg();
  const tone = "aevalsrc=if(between(t\\,1\\,2)\\,0.5*sin(2*PI*440*t)\\,0):d=3:s=48000";
  const child = Bun.spawn(
    [ffmpeg, "-v", "error", "-nostdin", "-f", "lavfi", "-i", tone].concat(
      "-c:a libopus -b:a 96k -strict -2 -y".split(" "),
      path,
    ),
    { stderr: "inherit" },
  );
  expect(await child.exited).toBe(0);
  const waveform = await measureWaveform(path, 3_000, {
    ffmpeg: await judgeFfmpeg(),
    confinement: await findFfmpegConfinement(),
    limits: finalizeLimits(readConfig({})),
    signal: new AbortController().signal,
  });
  const { stepMs, peaks, rms } = waveformSchema.parse(waveform);
  expect(stepMs).toBe(20);
  expect(peaks.length).toBe(rms.length);
  expect(Math.abs(peaks.length - 150)).toBeLessThanOrEqual(1);
  for (const [i, peak] of peaks.entries()) {
    const atMs = i * stepMs;
    // A codec smears an edge over a packet or two.
    if (atMs >= 1_040 && atMs < 1_960) {
      expect(peak).toBeGreaterThan(0.4);
      expect(peak).toBeLessThan(0.6);
      expect(rms[i]).toBeGreaterThan(0.3);
      expect(rms[i]).toBeLessThan(0.42);
    } else if (atMs < 940 || atMs >= 2_060) {
      expect(peak).toBeLessThan(0.02);
    }
  }
});

test("however the sound is cut into pieces, the waveform is the same", () => {
  const sound = fc.uint8Array({ minLength: 0, maxLength: 20_000 });
  const cuts = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 20 });
  fc.assert(
    fc.property(sound, cuts, (bytes, places) => {
      const whole = new WaveformMeter(20);
      whole.add(bytes);
      const pieces = new WaveformMeter(20);
      let from = 0;
      for (const to of [...places, bytes.length].toSorted((a, b) => a - b)) {
        pieces.add(bytes.subarray(from, to));
        from = to;
      }
      expect(pieces.waveform()).toEqual(whole.waveform());
    }),
  );
});

test("full scale is 1, also below zero", () => {
  const meter = new WaveformMeter(20);
  meter.add(new Uint8Array(new Int16Array(960).fill(-32_768).buffer));
  expect(meter.waveform()).toEqual({ stepMs: 20, peaks: [1], rms: [1] });
});
