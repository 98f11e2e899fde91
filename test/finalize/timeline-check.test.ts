import { expect, test } from "bun:test";
import { join } from "node:path";
import { settleMp4Index } from "../../src/finalize/mp4-index.ts";
import { type SampleTable, readSampleTables } from "../../src/finalize/mp4-sample-tables.ts";
import { checkTimeline } from "../../src/finalize/timeline-check.ts";
import { muxTimeline } from "../../src/finalize/timeline-mux.ts";
import { timelineTracks } from "../../src/finalize/timeline-tracks.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const SAMPLES_PER_MS = 48;
const PACKETS = 300;
/** Of Chromium's Opus. */
const PACKET_MS = 60;
const PACKET_BYTES = 20;

/** An AudioSampleEntry of Opus in one channel ("Encapsulation of Opus in ISO BMFF", 4.3). */
function opusEntry(): Buffer {
  const entry = Buffer.alloc(36 + 19);
  entry.writeUInt32BE(entry.length);
  entry.write("Opus", 4);
  entry.writeUInt16BE(1, 14);
  entry.writeUInt16BE(1, 24);
  entry.writeUInt16BE(16, 26);
  entry.writeUInt32BE(SAMPLES_PER_MS * 1_000 * 0x10000, 32);
  entry.writeUInt32BE(19, 36);
  entry.write("dOps", 40);
  entry.writeUInt8(1, 45);
  entry.writeUInt32BE(SAMPLES_PER_MS * 1_000, 48);
  return entry;
}

/** Packets at a distance of `usualMs` of which one comes after `stepMs`. */
function soundWithStep(stepMs: number, usualMs = PACKET_MS): SampleTable {
  const timesMs = [0];
  for (let i = 1; i <= PACKETS; i += 1) {
    timesMs.push((timesMs[i - 1] ?? 0) + (i === 200 ? stepMs : usualMs));
  }
  return {
    kind: "audio",
    entries: [opusEntry()],
    entryIndexes: undefined,
    ticksPerSecond: SAMPLES_PER_MS * 1_000,
    offsetMs: 0,
    count: PACKETS,
    sizes: new Uint32Array(PACKETS).fill(PACKET_BYTES),
    offsetsBytes: Float64Array.from({ length: PACKETS }, (_, i) => i * PACKET_BYTES),
    decodeTicks: Float64Array.from(timesMs, (ms) => ms * SAMPLES_PER_MS),
    compositionTicks: undefined,
    isSync: undefined,
    usualTicks: PACKET_MS * SAMPLES_PER_MS,
  };
}

test.each([
  // The silence of a long pause has more packets than the sound, and shorter ones.
  { pauseMs: 10_000, stepMs: 125 },
  { pauseMs: 1_000, stepMs: 125 },
  { pauseMs: 10_000, stepMs: PACKET_MS },
  // Of a device whose clock runs fast: 1.2 s of sound too much in 18 s.
  { pauseMs: 10_000, stepMs: PACKET_MS, usualMs: 56 },
])(
  "a step of $stepMs ms in the sound is no hole, with a pause of $pauseMs ms before it",
  async ({ pauseMs, stepMs, usualMs }) => {
    await using directory = await temporaryDirectory();
    const audio = soundWithStep(stepMs, usualMs);
    const toTrackMs = (ms: number): number => (ms < 6_000 ? ms : ms + pauseMs);
    const source = { path: join(directory.path, "source"), media: { from: 0, to: 6_000 } };
    await Bun.write(source.path, Buffer.alloc(6_000));
    const tables = { video: undefined, audio, media: source.media };
    const part = { tables, toTrackMs, parameterSets: new Map(), soundPacketMs: PACKET_MS };
    const timeline = await timelineTracks([part]);
    const outputPath = join(directory.path, "joined.mp4");
    const { signal } = new AbortController();
    const parts = [source];
    await muxTimeline({ timeline, parts, outputPath, onProgress: () => undefined, signal });
    const [made, index] = [await readSampleTables(outputPath), await settleMp4Index(outputPath)];
    if (made === undefined || index === undefined) throw new Error("There is no index");
    const endMs = (audio.decodeTicks[PACKETS] ?? 0) / SAMPLES_PER_MS;
    const lastMs = (audio.decodeTicks[PACKETS - 1] ?? 0) / SAMPLES_PER_MS;
    const counted = {
      packets: PACKETS,
      visiblePackets: PACKETS,
      bytes: PACKETS * PACKET_BYTES,
      firstMs: 0,
      lastMs,
      endMs,
      holes: [],
    };
    const opus = {
      kind: "audio",
      codec: "opus",
      codecName: "opus",
      parameters: "",
      width: null,
      height: null,
      preSkipMs: 0,
    } as const;
    const plan = {
      video: undefined,
      audio: { source: opus, action: "copy", codec: "opus", reason: "", isUniform: false },
      action: "copy",
      reason: "",
      muxer: "ffmpeg",
    } as const;
    const media = { plan, counts: { video: undefined, audio: counted }, isIncomplete: false };
    const joined = { media, place: { toTrackMs }, insertedBytes: 0 };
    expect(timeline.silentPackets).toBeGreaterThan(0);
    expect(await checkTimeline([joined], timeline, made, index)).toEqual([]);
  },
);
