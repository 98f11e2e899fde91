import { describe, expect, test } from "bun:test";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import type { PassedBlock } from "../../src/finalize/passing-blocks.ts";
import { SeededRandom } from "../faults/support/seeded-random.ts";
import { badMedia, joinChunks, recordedSegment } from "../support/recorded-media.ts";

function countsOf(filter: MatroskaFilter) {
  return filter.tracks.map(({ track, packets }) => ({
    codecId: track.codecId,
    packets: packets.packets,
    bytes: packets.bytes,
    firstMs: packets.firstMs,
    lastMs: packets.lastMs,
  }));
}

async function bytesOf(name: Parameters<typeof recordedSegment>[0]): Promise<Uint8Array> {
  const { chunks } = await recordedSegment(name);
  return Buffer.concat(chunks.map(({ payload }) => payload));
}

// Counted with `ffprobe -count_packets`.
const VP9 = [
  { codecId: "V_VP9", packets: 180, bytes: 13_388, firstMs: 0, lastMs: 5_968 },
  { codecId: "A_OPUS", packets: 100, bytes: 48_363, firstMs: 28, lastMs: 5_967 },
];

const CLUSTER = Buffer.from([0x1f, 0x43, 0xb6, 0x75]);

/** A Cluster of unknown size whose timestamp takes eight bytes, as no recorder writes it. */
const ADDED_CLUSTER = "1f43b67501ffffffffffffffe788";
const ADDED_CLUSTER_BYTES = 22;

/** Chromium's Clusters are of unknown size: any element can be put into them. */
function behindClusterHeaders(bytes: Uint8Array, element: Uint8Array): Buffer {
  const header = Buffer.concat([CLUSTER, Buffer.from("01ffffffffffffff", "hex")]);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (let at = Buffer.from(bytes).indexOf(header); at !== -1;) {
    pieces.push(bytes.subarray(from, at + header.length), element);
    from = at + header.length;
    at = Buffer.from(bytes).indexOf(header, from);
  }
  return Buffer.concat([...pieces, bytes.subarray(from)]);
}

describe("MatroskaFilter", () => {
  test("lets a sound stream through unchanged and counts its packets", async () => {
    const bytes = await bytesOf("vp9-opus");
    const filter = new MatroskaFilter();
    const out = Buffer.concat(filter.push(bytes));
    filter.end();
    expect(out.equals(bytes)).toBeTrue();
    expect(countsOf(filter)).toEqual(VP9);
    expect(filter.droppedBytes).toBe(0);
  });

  test.each([1, 7, 1_000])("gives the same when bytes come %p at a time", async (size) => {
    const bytes = await bytesOf("vp9-opus");
    const filter = new MatroskaFilter();
    const out: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      out.push(...filter.push(bytes.subarray(at, at + size)));
    }
    filter.end();
    expect(Buffer.concat(out).equals(bytes)).toBeTrue();
    expect(countsOf(filter)).toEqual(VP9);
  });

  test("passes a Cluster on whose time is beyond all clocks, also where sound is put right", async () => {
    const filter = new MatroskaFilter(undefined, true);
    filter.push(await bytesOf("vp9-opus"));
    expect(filter.aheadMs).toBe(45);
    const beyond = Buffer.from("1f43b67501ffffffffffffffe788ffffffffffffffff", "hex");
    expect(Buffer.concat(filter.push(beyond)).equals(beyond)).toBeTrue();
  });

  test("leaves sound as it is whose ticks are not those of Chromium", async () => {
    const bytes = Buffer.from(await bytesOf("vp9-opus"));
    const scale = bytes.indexOf(Buffer.from("2ad7b1830f4240", "hex"));
    expect(scale).toBeGreaterThan(0);
    bytes.writeUIntBE(1, scale + 4, 3);
    const filter = new MatroskaFilter(undefined, true);
    expect(Buffer.concat(filter.push(bytes)).equals(bytes)).toBeTrue();
    expect(filter.aheadMs).toBe(0);
  });

  test("after a gap it goes on at the next Cluster, and what it lets through is whole", async () => {
    const { chunks } = await recordedSegment("vp9-opus");
    const filter = new MatroskaFilter();
    const out: Uint8Array[] = [];
    let sent = 0;
    for (const { sequence, payload } of chunks) {
      if (sequence === 2) {
        filter.gap();
        continue;
      }
      sent += payload.length;
      out.push(...filter.push(payload));
    }
    filter.end();
    const whole = Buffer.concat(out);
    // The sound that was put back stands in a Cluster of its own, and the next one begins anew.
    const added = whole.toHex().split(ADDED_CLUSTER).length - 1;
    expect(added).toBe(2);
    const addedBytes = added * ADDED_CLUSTER_BYTES;
    expect(whole.length - addedBytes + filter.droppedBytes).toBe(sent);
    // Chromium begins a Cluster every second: little is lost beside the chunk itself.
    expect(filter.droppedBytes).toBeLessThan(chunks[2]?.payload.length ?? 0);
    const again = new MatroskaFilter();
    expect(Buffer.concat(again.push(whole)).equals(whole)).toBeTrue();
    again.end();
    expect(again.droppedBytes).toBe(0);
    expect(countsOf(again)).toEqual(countsOf(filter));
  });

  test.each(["vp8-opus", "vp9-opus", "av1-opus", "h264-opus", "audio-opus"] as const)(
    "%s: of the sound behind a gap nothing is lost that is whole, nor shifted",
    async (name) => {
      const { chunks } = await recordedSegment(name);
      for (const missing of [1, 2, 3, 4]) {
        const whole: PassedBlock[] = [];
        const original = new MatroskaFilter((block) => whole.push(block));
        const passed: PassedBlock[] = [];
        const filter = new MatroskaFilter((block) => passed.push(block));
        const inPieces = new MatroskaFilter();
        const out: Uint8Array[] = [];
        const outInPieces: Uint8Array[] = [];
        for (const { sequence, payload } of chunks) {
          original.push(payload);
          if (sequence === missing) {
            filter.gap();
            inPieces.gap();
            continue;
          }
          out.push(...filter.push(payload));
          for (let at = 0; at < payload.length; at += 499) {
            outInPieces.push(...inPieces.push(payload.subarray(at, at + 499)));
          }
        }
        filter.end();
        inPieces.end();
        expect(Buffer.concat(outInPieces).equals(Buffer.concat(out))).toBeTrue();
        expect(inPieces.droppedBytes).toBe(filter.droppedBytes);
        const wholeSound = whole.filter(({ track }) => track.kind === "audio");
        const sound = passed.filter(({ track }) => track.kind === "audio");
        const timeOf = new Map(wholeSound.map(({ data, atMs }) => [data.toHex(), atMs]));
        expect(timeOf.size).toBe(wholeSound.length);
        for (const { data, atMs } of sound) {
          expect(Math.abs(atMs - (timeOf.get(data.toHex()) ?? Infinity))).toBeLessThan(10);
        }
        expect(sound.map(({ atMs }) => atMs)).toEqual(
          sound.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
        );
        // Packets of 60 ms in a chunk of a second, and one that is cut at each end.
        expect(wholeSound.length - sound.length).toBeLessThanOrEqual(Math.ceil(1_110 / 60) + 2);
        const again = new MatroskaFilter();
        again.push(Buffer.concat(out));
        again.end();
        expect(again.droppedBytes).toBe(0);
        expect(countsOf(again)).toEqual(countsOf(filter));
      }
    },
  );

  test("a Cluster that begins with a checksum is found behind a gap too", async () => {
    const { chunks } = await recordedSegment("vp9-opus");
    const crc = Buffer.from("bf8400112233", "hex");
    const counted = (isChecked: boolean) => {
      const filter = new MatroskaFilter();
      for (const { sequence, payload } of chunks) {
        if (sequence === 2) filter.gap();
        else filter.push(isChecked ? behindClusterHeaders(payload, crc) : payload);
      }
      filter.end();
      return countsOf(filter);
    };
    expect(counted(true)).toEqual(counted(false));
  });

  test("random bytes behind a gap are no sound", async () => {
    const bytes = await bytesOf("vp9-opus");
    const at = bytes.length >> 1;
    const random = new SeededRandom(1);
    const noise = new Uint8Array(200_000).map(() => random.int(0, 255));
    const filter = new MatroskaFilter();
    filter.push(bytes.subarray(0, at));
    filter.gap();
    const before = filter.droppedBytes;
    filter.push(noise);
    filter.push(bytes.subarray(Buffer.from(bytes).indexOf(CLUSTER, at)));
    filter.end();
    expect(filter.droppedBytes - before).toBe(noise.length);
  });

  test("after a gap pictures that may need lost ones are passed on, but counted as a hole", async () => {
    const { chunks } = await recordedSegment("h264-opus");
    const blocks: PassedBlock[] = [];
    const filter = new MatroskaFilter((block) => blocks.push(block));
    for (const { sequence, payload } of chunks) {
      if (sequence === 2) filter.gap();
      else filter.push(payload);
    }
    filter.end();
    const pictures = blocks.filter(({ track }) => track.kind === "video");
    const [hole, ...others] =
      filter.tracks.find(({ track }) => track.kind === "video")?.packets.holes ?? [];
    expect(others).toEqual([]);
    const within = pictures.filter(
      ({ atMs }) => atMs >= (hole?.fromMs ?? 0) && atMs < (hole?.toMs ?? 0),
    );
    expect(within.length).toBeGreaterThan(0);
    expect(within.some(({ isKey }) => isKey)).toBe(false);
    expect(pictures.find(({ atMs }) => atMs === hole?.toMs)?.isKey).toBe(true);
  });

  test("a stream that is cut off ends with its last whole element", async () => {
    const bytes = await bytesOf("h264-opus");
    const filter = new MatroskaFilter();
    const out = Buffer.concat(filter.push(bytes.subarray(0, bytes.length - 5)));
    filter.end();
    expect(out.length + filter.droppedBytes).toBe(bytes.length - 5);
    expect(filter.droppedBytes).toBeGreaterThan(0);
  });

  test("a run that ended with a chunk, as its page was closed, has lost nothing of it", async () => {
    const { chunks } = await recordedSegment("h264-opus");
    const bytes = joinChunks(chunks.slice(0, 3));
    // The first byte of a SimpleBlock, which Chromium hands over before the block is there.
    expect(bytes.at(-1)).toBe(0xa3);
    const filter = new MatroskaFilter();
    const out = Buffer.concat(filter.push(bytes));
    filter.end();
    expect(out.length).toBe(bytes.length - 1);
    expect(filter.droppedBytes).toBe(0);
  });

  test("an element that claims more than any frame can have is taken for damage", async () => {
    const bytes = Buffer.from(await bytesOf("vp9-opus"));
    const clusterAt = bytes.indexOf(Buffer.from([0x1f, 0x43, 0xb6, 0x75]));
    // A SimpleBlock of 2^52 bytes where the second Cluster should begin.
    const secondAt = bytes.indexOf(Buffer.from([0x1f, 0x43, 0xb6, 0x75]), clusterAt + 1);
    const bomb = Buffer.from([0xa3, 0x01, 0x10, 0, 0, 0, 0, 0, 0, 0x81]);
    const filter = new MatroskaFilter();
    const input = Buffer.concat([bytes.subarray(0, secondAt), bomb, bytes.subarray(secondAt)]);
    expect(Buffer.concat(filter.push(input)).equals(bytes)).toBeTrue();
    expect(filter.droppedBytes).toBe(bomb.length);
  });

  test("text that calls itself something else does not pass", () => {
    const filter = new MatroskaFilter();
    const out = filter.push(new TextEncoder().encode("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"));
    filter.end();
    expect(out).toEqual([]);
    expect(filter.tracks).toEqual([]);
  });

  test("ends on every broken file, in one piece or byte by byte alike", async () => {
    for (const { bytes } of await badMedia()) {
      const whole = new MatroskaFilter();
      const wholeOut = Buffer.concat(whole.push(bytes));
      whole.end();
      const pieces = new MatroskaFilter();
      const out: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += 13) {
        out.push(...pieces.push(bytes.subarray(at, at + 13)));
      }
      pieces.end();
      expect(Buffer.concat(out).equals(wholeOut)).toBeTrue();
      expect(countsOf(pieces)).toEqual(countsOf(whole));
    }
  });
});
