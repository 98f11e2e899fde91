import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ExportTrack } from "../../../src/exports/export-maker.ts";
import { canvasOf, planLayout } from "../../../src/exports/composite/layout-plan.ts";
import { judgeFfmpeg } from "../../support/judge-ffmpeg.ts";
import { onlyStream, stepSpreadMs, streamsOf } from "../../support/media-streams.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { compositeOf, oldFfmpeg } from "./composite-bed.ts";
import { amplitudeOf, numbersIn, samplesOf } from "./composite-judge.ts";
import { exportTrack } from "./export-tracks.ts";
import { numberedSource } from "../../support/numbered-source.ts";

const CALL_MS = 6_000;
const SIZE = { width: 320, height: 180 };
/** 360 lines are enough to read barcodes, and quick to encode. */
const HEIGHT = 360;
const FRAMES_PER_SECOND = 30;
/** Of ffmpeg's sine, an eighth of full scale. */
const TONE_AMPLITUDE = 0.125;

/** A track with what it is known by in the composite. */
interface KnownTrack {
  readonly track: ExportTrack;
  readonly firstNumber: number;
  readonly toneHz: number;
}

let directory: TemporaryDirectory;
let call: KnownTrack[];

async function known(
  participant: string,
  place: { readonly offsetMs: number; readonly durationMs: number },
  firstNumber: number,
  toneHz: number,
  codec: "h264" | "vp9",
): Promise<KnownTrack> {
  const picture = { ...SIZE, firstNumber, codec, stepMs: 1_000 / FRAMES_PER_SECOND };
  const path = await numberedSource(directory.path, participant, {
    durationMs: place.durationMs,
    picture,
    toneHz,
  });
  return { track: exportTrack({ participant, ...place, path }), firstNumber, toneHz };
}

beforeAll(async () => {
  directory = await temporaryDirectory();
  const whole = { offsetMs: 0, durationMs: CALL_MS };
  call = [
    await known("ada", whole, 10_000, 440, "vp9"),
    await known("bob", whole, 20_000, 660, "h264"),
    await known("cyd", { offsetMs: 0, durationMs: CALL_MS }, 30_000, 880, "h264"),
    // Late, and gone early.
    await known("dee", { offsetMs: 2_010, durationMs: 2_000 }, 40_000, 1_100, "vp9"),
  ];
});

afterAll(() => directory[Symbol.asyncDispose]());

const builds = [
  { name: "the ffmpeg of this machine", find: judgeFfmpeg },
  { name: "the ffmpeg of the npm package", find: oldFfmpeg },
];

describe.each(builds)("with $name", ({ find }) => {
  test("four participants, one late and gone early, are each in their tile and heard at their times", async () => {
    const ffmpeg = await find();
    if (ffmpeg === undefined) return;
    const tracks = call.map(({ track }) => track);
    const shares: number[] = [];
    const { path, durationMs, notes } = await compositeOf({
      directory: directory.path,
      tracks,
      durationMs: CALL_MS,
      options: { height: HEIGHT },
      ffmpeg,
      onProgress: (share) => shares.push(share),
    });
    expect(durationMs).toBe(CALL_MS);
    expect(notes).toEqual([]);

    const { scenes } = planLayout(tracks, CALL_MS, canvasOf(HEIGHT, FRAMES_PER_SECOND));
    expect(scenes.map(({ tiles }) => tiles.length)).toEqual([3, 4, 3]);
    for (const { track, firstNumber } of call) {
      for (const { fromFrame, frames, tiles } of scenes) {
        const tile = tiles.find(({ name }) => name === track.participantId);
        if (tile === undefined) continue;
        const numbers = await numbersIn(path, tile, SIZE);
        expect(numbers.length).toBe((CALL_MS * FRAMES_PER_SECOND) / 1_000);
        for (let frame = fromFrame; frame < fromFrame + frames; frame += 1) {
          // What stands in the middle of the picture's time.
          const atMs = ((frame + 0.5) * 1_000) / FRAMES_PER_SECOND - track.timeline.offsetMs;
          const expected = firstNumber + Math.floor((atMs * FRAMES_PER_SECOND) / 1_000);
          expect(`${frame}: ${numbers[frame]}`).toBe(`${frame}: ${expected}`);
        }
      }
    }

    const streams = await streamsOf(path);
    const video = onlyStream(streams, "video");
    expect([video.codec, video.packets, stepSpreadMs(video.timesMs) < 0.1]).toEqual([
      "avc",
      (CALL_MS * FRAMES_PER_SECOND) / 1_000,
      true,
    ]);
    expect(onlyStream(streams, "audio").codec).toBe("aac");

    const samples = await samplesOf(path);
    for (let fromMs = 0; fromMs < CALL_MS; fromMs += 100) {
      for (const { track, toneHz } of call) {
        const { offsetMs, durationMs: spokenMs } = track.timeline;
        const amplitude = amplitudeOf(samples, toneHz, fromMs, fromMs + 100);
        // The stretch in which a voice begins or ends has a part of it.
        if (fromMs >= offsetMs && fromMs + 100 <= offsetMs + spokenMs) {
          expect(amplitude).toBeGreaterThan(TONE_AMPLITUDE * 0.8);
          expect(amplitude).toBeLessThan(TONE_AMPLITUDE * 1.2);
        } else if (fromMs + 100 <= offsetMs || fromMs >= offsetMs + spokenMs) {
          expect(amplitude).toBeLessThan(TONE_AMPLITUDE * 0.02);
        }
      }
    }
    expect(shares.length).toBeGreaterThan(0);
    expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
  });
});
