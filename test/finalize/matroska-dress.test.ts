import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import { parseRecording } from "../support/matroska-blocks.ts";
import {
  CLUSTER_EXTRAS,
  type Dress,
  type ExtraName,
  PLAIN_DRESS,
  SEGMENT_EXTRAS,
  type WrittenPacket,
  element,
  writeClusters,
  writeMatroska,
} from "../support/matroska-writer.ts";
import { joinChunks, recordedSegment } from "../support/recorded-media.ts";

const PACKET_MS = 20;
/** One frame of 20 ms (RFC 6716, 3.1). */
const OPUS_20_MS = 0xf8;

/** What came out of a filter: times in milliseconds. */
interface Passed {
  readonly packets: readonly (readonly [
    isVideo: boolean,
    ms: number,
    isKey: boolean,
    hex: string,
  ])[];
  readonly droppedBytes: number;
  readonly videoPackets: number;
  readonly soundPackets: number;
}

/** Sound every 20 ms and a picture every 100; each packet tells its number. */
function packetsOf(durationMs: number, ticksPerMs = 1, offsetMs = 0): WrittenPacket[] {
  const packets: WrittenPacket[] = [];
  for (let ms = 0; ms < durationMs; ms += PACKET_MS) {
    const number = ms / PACKET_MS;
    const ticks = (ms + offsetMs) * ticksPerMs;
    if (ms % 100 === 0) {
      const isKey = ms % 1_000 === 0;
      const head = isKey ? [0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0] : [0x11, 0, 0];
      const data = Uint8Array.of(...head, number & 255, number >> 8);
      packets.push({ track: 1, ticks, isKey, data });
    }
    const size = 3 + (number % 7 === 0 ? 300 : number % 5);
    const data = new Uint8Array(size).fill(number & 255);
    data.set([OPUS_20_MS, number & 255, number >> 8]);
    packets.push({ track: 2, ticks, isKey: true, data });
  }
  return packets;
}

function picture(ticks: number, isKey: boolean, data: Uint8Array): WrittenPacket {
  return { track: 1, ticks, isKey, data };
}

function pass(bytes: Uint8Array, pieces: readonly number[] = []): Passed {
  const filter = new MatroskaFilter(undefined, true);
  const out: Uint8Array[] = [];
  let at = 0;
  for (const piece of [...pieces, bytes.length]) {
    // The filter may change what it is given, and it is given this once.
    out.push(...filter.push(bytes.slice(at, at + piece)).map((view) => new Uint8Array(view)));
    at += piece;
  }
  out.push(...filter.end());
  const count = (kind: string): number =>
    filter.tracks.find(({ track }) => track.kind === kind)?.packets.packets ?? 0;
  const { blocks } = parseRecording(Buffer.concat(out));
  return {
    packets: blocks.map(({ isVideo, timeMs, isKey, data }) => [
      isVideo,
      timeMs,
      isKey,
      Buffer.from(data).toString("hex"),
    ]),
    droppedBytes: filter.droppedBytes,
    videoPackets: count("video"),
    soundPackets: count("audio"),
  };
}

function expected(packets: readonly WrittenPacket[], ticksPerMs = 1): Passed["packets"] {
  return packets.map(({ track, ticks, isKey, data }) => [
    track === 1,
    ticks / ticksPerMs,
    isKey,
    Buffer.from(data).toString("hex"),
  ]);
}

const extras = <Name extends string>(names: readonly Name[]) =>
  fc.array(fc.constantFrom(...names), { maxLength: 3 });

/** It stands first (RFC 8794, 11.3.1). */
function withChecksum(others: readonly ExtraName[]): ExtraName[] {
  return ["crc", ...others];
}

const clusterExtras = extras(CLUSTER_EXTRAS.filter((name) => name !== "crc"));
const dresses: fc.Arbitrary<Dress> = fc.record({
  segmentSizeBytes: fc.integer({ min: 1, max: 8 }),
  clusterSizeBytes: fc.integer({ min: 1, max: 8 }),
  clustersAreSized: fc.boolean(),
  sizeBytes: fc.integer({ min: 1, max: 8 }),
  clusterTicks: fc.constantFrom(200, 1_000, 5_000, Infinity),
  lateTicks: fc.constantFrom(0, 0, 100, 2_000),
  blocksBeforeTime: fc.constantFrom(0, 0, 1, 7, 1_000),
  inCluster: fc
    .tuple(fc.boolean(), clusterExtras)
    .map(([isChecked, others]) => (isChecked ? withChecksum(others) : others)),
  afterTime: clusterExtras,
  betweenClusters: extras(SEGMENT_EXTRAS),
  betweenBlocks: extras(["void", "emptyVoid", "encryptedBlock", "unknown"] as const),
  beforeSegment: extras(["void", "emptyVoid"] as const),
  inHeader: extras(SEGMENT_EXTRAS),
  isInfoLast: fc.boolean(),
  repeatsTracks: fc.boolean(),
  maxSizeLength: fc.constantFrom(4, 8),
  form: fc.constantFrom("simple", "group"),
  lacing: fc.constantFrom("none", "xiph", "ebml", "fixed"),
  lacedFrames: fc.constantFrom(2, 3, 8),
  scaleNs: fc.constantFrom(1_000_000, 100_000),
});

describe("Matroska in any legal dress", () => {
  test("gives the same packets, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(
        dresses,
        fc.integer({ min: 200, max: 4_000 }),
        fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 40 }),
        (dress, durationMs, pieces) => {
          const ticksPerMs = 1_000_000 / dress.scaleNs;
          const packets = packetsOf(durationMs, ticksPerMs);
          const { bytes } = writeMatroska(packets, dress);
          const passed = pass(bytes, pieces);
          expect(passed.packets).toEqual(expected(packets, ticksPerMs));
          expect(passed).toMatchObject({
            droppedBytes: 0,
            videoPackets: packets.filter(({ track }) => track === 1).length,
            soundPackets: packets.filter(({ track }) => track === 2).length,
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each(["simple", "group"] as const)(
    "unwraps the times of one Cluster of 200 s, in blocks of the form %s",
    (form) => {
      const packets = packetsOf(200_000);
      const { bytes } = writeMatroska(packets, { ...PLAIN_DRESS, clusterTicks: Infinity, form });
      expect(pass(bytes).packets).toEqual(expected(packets));
    },
  );

  test("behind a lost piece only what it touches is missing, and pictures up to the keyframe", () => {
    fc.assert(
      fc.property(
        dresses,
        fc.double({ min: 0.2, max: 0.8, noNaN: true }),
        fc.integer({ min: 1, max: 600 }),
        (drawn, share, lostBytes) => {
          const dress = { ...drawn, clusterTicks: 1_000, lateTicks: 0, scaleNs: 1_000_000 };
          const packets = packetsOf(6_000);
          const { bytes, clustersAt } = writeMatroska(packets, dress);
          const lostFrom = Math.floor(bytes.length * share);
          const lostTo = lostFrom + lostBytes;
          const filter = new MatroskaFilter(undefined, true);
          const out: Uint8Array[] = [];
          out.push(...filter.push(bytes.slice(0, lostFrom)).map((view) => new Uint8Array(view)));
          filter.gap();
          out.push(...filter.push(bytes.slice(lostTo)), ...filter.end());
          const { blocks } = parseRecording(Buffer.concat(out));
          const nextCluster = clustersAt.findIndex((at) => at >= lostTo);
          const keptMs = blocks.map(({ timeMs }) => timeMs);
          // All behind the next Cluster's begin is there.
          const behind = packets.filter(({ ticks }) => ticks >= nextCluster * 1_000);
          expect(keptMs.filter((ms) => ms >= nextCluster * 1_000)).toHaveLength(behind.length);
          const written = new Set(packets.map(({ track, ticks }) => `${track} ${ticks}`));
          for (const { isVideo, timeMs } of blocks) {
            expect(written.has(`${isVideo ? 1 : 2} ${timeMs}`)).toBeTrue();
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test.each([
    { form: "simple" },
    { form: "group" },
    { clustersAreSized: true, inCluster: ["crc"] },
    { inCluster: ["crc", "void", "prevSize"], betweenBlocks: ["void"] },
    { betweenClusters: ["tags", "cues", "void"] },
    { lacing: "xiph", lacedFrames: 2 },
  ] satisfies Partial<Dress>[])("whole sound behind a lost piece is put back: %p", (own) => {
    const dress = { ...PLAIN_DRESS, ...own };
    const packets = packetsOf(6_000);
    const { bytes, clustersAt } = writeMatroska(packets, dress);
    // The first fifth of the third second.
    const from = clustersAt[2] ?? 0;
    const lostTo = from + Math.floor(((clustersAt[3] ?? 0) - from) / 5);
    const filter = new MatroskaFilter(undefined, true);
    const out: Uint8Array[] = [];
    out.push(...filter.push(bytes.slice(0, from)).map((view) => new Uint8Array(view)));
    filter.gap();
    out.push(...filter.push(bytes.slice(lostTo)), ...filter.end());
    const { blocks } = parseRecording(Buffer.concat(out));
    const sound = blocks.filter(({ isVideo }) => !isVideo).map(({ timeMs }) => timeMs);
    expect(sound).toEqual(sound.toSorted((a, b) => a - b));
    const missing = packets.filter(({ track, ticks }) => track === 2 && !sound.includes(ticks));
    // A fifth of 50, and what is cut.
    expect(missing.length).toBeWithin(8, 16);
    expect(missing.every(({ ticks }) => ticks >= 2_000 && ticks < 2_340)).toBeTrue();
  });

  test("whole sound behind a lost piece of the last Cluster is put back too", () => {
    const dress = { ...PLAIN_DRESS, clustersAreSized: true, inCluster: ["crc"] as const };
    const packets = packetsOf(3_000);
    const { bytes, clustersAt } = writeMatroska(packets, dress);
    const lastCluster = clustersAt[2] ?? 0;
    const step = Math.floor((bytes.length - lastCluster) / 5);
    const cues = element("1c53bb6b", Buffer.alloc(60));
    const filter = new MatroskaFilter(undefined, true);
    const out: Uint8Array[] = [];
    const push = (piece: Uint8Array): void => {
      out.push(...filter.push(piece).map((view) => new Uint8Array(view)));
    };
    push(bytes.slice(0, lastCluster + step));
    filter.gap();
    push(bytes.slice(lastCluster + 2 * step));
    push(cues);
    out.push(...filter.end());
    const { blocks } = parseRecording(Buffer.concat(out));
    const sound = blocks.filter(({ isVideo }) => !isVideo).map(({ timeMs }) => timeMs);
    const missing = packets.filter(({ track, ticks }) => track === 2 && !sound.includes(ticks));
    expect(missing.length).toBeWithin(8, 16);
    expect(missing.every(({ ticks }) => ticks > 2_100 && ticks < 2_500)).toBeTrue();
    expect(sound.at(-1)).toBe(2_980);
  });

  test.each(["vp8-opus", "vp9-opus", "av1-opus", "h264-opus"] as const)(
    "%s: keyframes are what pictures say they are, whatever their flags claim",
    async (name) => {
      const { chunks } = await recordedSegment(name);
      const { header, blocks } = parseRecording(joinChunks(chunks));
      const truth = blocks.filter(({ isVideo }) => isVideo).map(({ isKey }) => isKey);
      expect(truth.filter(Boolean)).toHaveLength(2);
      for (const form of ["simple", "group"] as const) {
        for (const claimed of [true, false]) {
          const packets = blocks.map(({ isVideo, timeMs, data }): WrittenPacket => {
            const track = isVideo ? 1 : 2;
            return { track, ticks: timeMs, isKey: !isVideo || claimed, data };
          });
          const { bytes } = writeClusters(packets, { ...PLAIN_DRESS, form }, header);
          for (const mayChange of [true, false]) {
            const filter = new MatroskaFilter(undefined, mayChange);
            const out = Buffer.concat([...filter.push(new Uint8Array(bytes)), ...filter.end()]);
            const pictures = parseRecording(out).blocks.filter(({ isVideo }) => isVideo);
            expect(pictures.map(({ isKey }) => isKey)).toEqual(truth);
          }
        }
      }
    },
  );

  test("frames of VP9 that are not shown become one packet with the one that is", () => {
    // Frame marker, then: not a key frame, not shown; the same shown; a key frame that is shown.
    const hidden = Uint8Array.of(0x84, 1, 1);
    const shown = Uint8Array.of(0x86, 2, 2, 2);
    const key = Uint8Array.of(0x82, 0x49, 0x83, 0x42, 0, 0x13, 0xf0, 0x0b, 0x30, 0);
    const { bytes } = writeMatroska(
      [picture(0, true, key), picture(20, false, hidden), picture(40, false, shown)],
      PLAIN_DRESS,
      "V_VP9",
    );
    const filter = new MatroskaFilter();
    const out = Buffer.concat([...filter.push(bytes), ...filter.end()]);
    const { blocks } = parseRecording(out);
    expect(blocks.map(({ timeMs, data }) => [timeMs, Buffer.from(data).toString("hex")])).toEqual([
      [0, Buffer.from(key).toString("hex")],
      // Annex B: both frames, then their sizes between two markers.
      [40, "84010186020202c10304c1"],
    ]);
    const [video] = filter.tracks;
    expect(video?.packets).toMatchObject({ packets: 2, visiblePackets: 2, bytes: 21 });
    expect(video?.packets.picture).toEqual({ width: 320, height: 180 });
  });

  test("frames of VP8 that are not shown are counted as what they are", () => {
    const key = Uint8Array.of(0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0);
    const { bytes } = writeMatroska(
      [
        picture(0, true, key),
        picture(20, false, Uint8Array.of(0x01, 0, 0)),
        picture(40, false, Uint8Array.of(0x11, 0, 0)),
      ],
      PLAIN_DRESS,
    );
    const filter = new MatroskaFilter();
    filter.push(bytes);
    expect(filter.tracks[0]?.packets).toMatchObject({ packets: 3, visiblePackets: 2 });
  });

  test("pictures before the first keyframe are left out, and told", () => {
    const packets = packetsOf(3_000).filter(({ track, ticks }) => track === 2 || ticks >= 100);
    const { bytes } = writeMatroska(packets, PLAIN_DRESS);
    const filter = new MatroskaFilter(undefined, true);
    const { blocks } = parseRecording(Buffer.concat(filter.push(bytes)));
    expect(blocks.filter(({ isVideo }) => isVideo).map(({ timeMs }) => timeMs)).toEqual(
      packets.filter(({ track, ticks }) => track === 1 && ticks >= 1_000).map(({ ticks }) => ticks),
    );
    const [video, sound] = filter.tracks;
    expect(video?.packets.leading).toEqual({ fromMs: 0, toMs: 1_000, resumesMs: 100 });
    expect(video?.packets).toMatchObject({ firstMs: 1_000, packets: 20 });
    expect(sound?.packets.packets).toBe(150);
  });

  test("laces without a length are divided evenly up to the next", () => {
    // Vorbis: nothing tells how long a packet is.
    const packets = Array.from({ length: 32 }, (_, i): WrittenPacket => ({
      track: 2,
      ticks: i * 25,
      isKey: true,
      data: Uint8Array.of(i, 1, 2),
    }));
    const dress = { ...PLAIN_DRESS, lacing: "ebml", lacedFrames: 8 } as const;
    const { bytes } = writeMatroska(packets, dress, "V_VP8", "A_VORBIS");
    expect(pass(bytes, [70, 90]).packets).toEqual(expected(packets));
  });

  test("times before zero pass, all as late alike", () => {
    const packets = packetsOf(1_000, 1, -60);
    const dress = { ...PLAIN_DRESS, lateTicks: 60, clusterTicks: 5_000 };
    const { bytes } = writeMatroska(packets, dress);
    const filter = new MatroskaFilter();
    const { blocks } = parseRecording(Buffer.concat(filter.push(bytes)));
    expect(blocks.map(({ timeMs }) => timeMs - filter.aheadMs)).toEqual(
      packets.map(({ ticks }) => ticks),
    );
    expect(filter.tracks[0]?.packets.firstMs).toBe(-60);
  });
});
