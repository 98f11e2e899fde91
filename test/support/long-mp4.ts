import { open } from "node:fs/promises";
import { expect } from "bun:test";
import type { LoopedMedia } from "./looped-media.ts";
import { decodeFrameNumbers } from "./media-judge.ts";
import { onlyStream, streamsOf } from "./media-streams.ts";

/** Beyond it an offset needs 64 bits. */
const FOUR_GIB = 2 ** 32;

/** What is decoded at the begin and at the end, and how many pictures that must give. */
const SAMPLE_MS = 5_000;
const SAMPLE_FRAMES_MIN = 100;

/** The product's promise for every track. */
const DURATION_TOLERANCE_MS = 40;

/**
 * Expects of the MP4 of a long recording every packet, each stream's length, the first and the last
 * pictures, and places in the file that a reader of 64 bits finds.
 */
export async function expectLongMp4(path: string, media: LoopedMedia): Promise<void> {
  const streams = await streamsOf(path, { metadataOnly: true });
  const [video, audio] = [onlyStream(streams, "video"), onlyStream(streams, "audio")];
  expect([video.packets, audio.packets]).toEqual([media.videoPackets, media.audioPackets]);
  for (const { durationMs } of [video, audio]) {
    expect(Math.abs(durationMs - media.durationMs)).toBeLessThanOrEqual(DURATION_TOLERANCE_MS);
  }

  const first = await decodeFrameNumbers(path, { firstMs: SAMPLE_MS });
  const last = await decodeFrameNumbers(path, { lastMs: SAMPLE_MS });
  for (const part of [first, last]) expect(part.length).toBeGreaterThan(SAMPLE_FRAMES_MIN);
  expect(first.map(({ number }) => number)).toEqual(
    Array.from(first, (_, i) => media.firstNumber + i),
  );
  expect(last.map(({ number }) => number).toReversed()).toEqual(
    Array.from(last, (_, i) => media.lastNumber - i),
  );

  const index = await indexOf(path);
  const isBeyond = index.fileBytes > FOUR_GIB;
  const offsets = chunkOffsets(index.moov);
  expect(offsets.length).toBe(2);
  for (const { bits, last: lastOffset } of offsets) {
    if (isBeyond) expect(bits).toBe(64);
    expect(lastOffset).toBeGreaterThan(index.fileBytes * 0.9);
    expect(lastOffset).toBeLessThan(index.fileBytes);
  }
}

/** The bytes of the box `moov`, wherever it is. */
async function indexOf(path: string): Promise<{ moov: Buffer; fileBytes: number }> {
  await using file = await open(path);
  const { size: fileBytes } = await file.stat();
  const header = Buffer.alloc(16);
  for (let offset = 0; offset < fileBytes;) {
    await file.read(header, 0, header.length, offset);
    const short = header.readUInt32BE(0);
    const boxBytes = short === 1 ? Number(header.readBigUInt64BE(8)) : short;
    if (boxBytes < 8) throw new Error(`A box of ${boxBytes} bytes at ${offset}`);
    if (header.toString("latin1", 4, 8) === "moov") {
      const moov = Buffer.alloc(boxBytes);
      await file.read(moov, 0, boxBytes, offset);
      return { moov, fileBytes };
    }
    offset += boxBytes;
  }
  throw new Error(`${path} has no index`);
}

/** The last entry of each `stco` and `co64` (ISO/IEC 14496-12, 8.7.5). */
function chunkOffsets(moov: Buffer): { readonly bits: 32 | 64; readonly last: number }[] {
  const found: { bits: 32 | 64; last: number }[] = [];
  for (const bits of [32, 64] as const) {
    const type = bits === 32 ? "stco" : "co64";
    for (let at = moov.indexOf(type); at !== -1; at = moov.indexOf(type, at + 4)) {
      const count = moov.readUInt32BE(at + 8);
      const entry = at + 12 + (count - 1) * (bits / 8);
      const last = bits === 32 ? moov.readUInt32BE(entry) : Number(moov.readBigUInt64BE(entry));
      found.push({ bits, last });
    }
  }
  return found;
}
