import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { aacConfig } from "../../src/finalize/aac-config.ts";
import { readSampleTables } from "../../src/finalize/mp4-sample-tables.ts";
import { opusChannels } from "../../src/finalize/opus-channels.ts";
import { aacSilence, channelsOf, silenceOf } from "../../src/finalize/silence.ts";
import { resolveFfmpeg, systemFfmpegLookup } from "../../src/process/ffmpeg-binary.ts";
import { joinFiles } from "../support/joined-file.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

let directory: TemporaryDirectory;

beforeEach(async () => {
  directory = await temporaryDirectory();
});
afterEach(async () => {
  await directory[Symbol.asyncDispose]();
});

/** Makes two seconds of a tone in all channels of a layout, by the options for the codec. */
async function make(layout: string, rate: number, codec: string): Promise<string> {
  const path = join(directory.path, `${crypto.randomUUID()}.mp4`);
  const { path: ffmpeg } = await judgeFfmpeg();
  const tones = Array.from({ length: CHANNELS[layout] ?? 0 }, () => "0.3*sin(2*PI*440*t)");
  const source = `aevalsrc=${tones.join("|")}:s=${rate}:d=2:c=${layout}`;
  const args = ["-v", "error", "-f", "lavfi", "-i", source, ...codec.split(" "), "-strict", "-2"];
  const made = Bun.spawnSync([ffmpeg, ...args, path]);
  expect(made.stderr.toString()).toBe("");
  return path;
}

const CHANNELS: Readonly<Record<string, number>> = {
  mono: 1,
  stereo: 2,
  "3.0": 3,
  "4.0": 4,
  quad: 4,
  "5.0": 5,
  "5.1": 6,
  "6.1": 7,
  "7.1": 8,
};

/** Decodes with both builds, which must not say a word; gives the samples of all channels. */
async function decoded(path: string): Promise<Float32Array[]> {
  const builds = [await judgeFfmpeg(), await resolveFfmpeg(systemFfmpegLookup({}))];
  return builds.map(({ path: ffmpeg }) => {
    const strict = ["-v", "error", "-xerror", "-err_detect", "explode", "-i", path];
    const run = Bun.spawnSync([ffmpeg, ...strict, "-map", "0:a", "-f", "f32le", "pipe:1"]);
    expect(run.stderr.toString()).toBe("");
    expect(run.exitCode).toBe(0);
    return new Float32Array(new Uint8Array(run.stdout).buffer);
  });
}

describe("silent packets", () => {
  test.each([
    ["AAC", "mono", 48_000, "-c:a aac"],
    ["AAC", "mono", 8_000, "-c:a aac"],
    ["AAC", "stereo", 44_100, "-c:a aac"],
    ["AAC", "stereo", 16_000, "-c:a aac"],
    ["AAC", "3.0", 48_000, "-c:a aac"],
    ["AAC", "4.0", 48_000, "-c:a aac"],
    ["AAC", "quad", 48_000, "-c:a aac"],
    ["AAC", "5.0", 48_000, "-c:a aac"],
    ["AAC", "5.1", 48_000, "-c:a aac"],
    ["AAC", "6.1", 48_000, "-c:a aac"],
    ["AAC", "7.1", 48_000, "-c:a aac"],
    ["Opus", "mono", 48_000, "-c:a libopus"],
    ["Opus", "stereo", 48_000, "-c:a libopus"],
    ["Opus", "3.0", 48_000, "-c:a libopus -mapping_family 1"],
    ["Opus", "quad", 48_000, "-c:a libopus -mapping_family 1"],
    ["Opus", "5.0", 48_000, "-c:a libopus -mapping_family 1"],
    ["Opus", "5.1", 48_000, "-c:a libopus -mapping_family 1"],
    ["Opus", "6.1", 48_000, "-c:a libopus -mapping_family 1"],
    ["Opus", "7.1", 48_000, "-c:a libopus -mapping_family 1"],
  ] as const)(
    "%s of %s at %d Hz keeps its channels and is silent",
    async (_, layout, rate, codec) => {
      const first = await make(layout, rate, codec);
      const channels = CHANNELS[layout] ?? 0;
      const entry = (await readSampleTables(first))?.audio?.entries[0] ?? Buffer.alloc(0);
      expect(channelsOf(entry)).toBe(channels);
      const { path, timeline } = await joinFiles(directory.path, [
        { path: first, atMs: 0 },
        { path: first, atMs: 4_000 },
      ]);
      expect(timeline.silentPackets).toBeGreaterThan(0);
      expect(timeline.leavesHoles).toBeFalse();
      for (const sound of await decoded(path)) {
        const perSecond = sound.length / channels / 6;
        // Six seconds of all channels, give or take a packet.
        expect(Math.abs(perSecond - rate)).toBeLessThan(1_024);
        const loudest = (fromS: number, toS: number): number[] =>
          Array.from({ length: channels }, (__, channel) => {
            let most = 0;
            for (let i = Math.round(fromS * rate); i < toS * rate; i += 1) {
              most = Math.max(most, Math.abs(sound[i * channels + channel] ?? 0));
            }
            return most;
          });
        expect(Math.max(...loudest(2.4, 3.8))).toBeLessThan(0.001);
        // The channel of low frequencies passes nothing of a tone of 440 Hz.
        for (const [fromS, toS] of [
          [0.5, 1.5],
          [4.5, 5.5],
        ] as const) {
          const loud = loudest(fromS, toS).filter((amplitude) => amplitude > 0.1);
          expect(loud.length).toBeGreaterThanOrEqual(
            layout.endsWith(".1") ? channels - 1 : channels,
          );
        }
      }
    },
    60_000,
  );

  test("of AAC with an extension are not known", () => {
    // AAC-LC at 24 kHz, SBR to 48 kHz, two channels: as a type of its own, and behind the core's.
    const explicit = aacConfig(Uint8Array.fromHex("2b11888000"));
    expect(explicit).toMatchObject({ objectType: 2, channels: 2, isExtended: true });
    const behind = aacConfig(Uint8Array.fromHex("131056e598"));
    expect(behind).toMatchObject({ objectType: 2, channels: 2, isExtended: true });
    const parametric = aacConfig(Uint8Array.fromHex("eb098800"));
    expect(parametric).toMatchObject({ objectType: 2, channels: 1, isExtended: true });
    for (const config of [explicit, behind, parametric]) expect(aacSilence(config)).toBeUndefined();
    const plain = aacConfig(Uint8Array.fromHex("119056e500"));
    expect(plain).toMatchObject({ objectType: 2, channels: 2, isExtended: false });
  });

  test("of what has no whole description are not known", () => {
    expect(aacConfig(new Uint8Array())).toBeUndefined();
    expect(aacConfig(Uint8Array.of(0x11))).toBeUndefined();
    expect(aacConfig(Uint8Array.of(0x11, 0x80))).toBeUndefined();
    expect(opusChannels(new Uint8Array(), "box")).toBeUndefined();
    expect(opusChannels(Uint8Array.of(0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0), "box")).toBeUndefined();
    expect(silenceOf(Buffer.alloc(0), 48_000)).toBeUndefined();
    expect(silenceOf(Buffer.from("000000086d703461", "hex"), 48_000)).toBeUndefined();
  });
});
