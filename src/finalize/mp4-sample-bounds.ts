import { type FileHandle, open } from "node:fs/promises";
import { MediaUnreadableError } from "./finalize-errors.ts";
import { boxAt, boxesIn } from "./mp4-boxes.ts";

/** 50 hours of 60 pictures and 50 packets of sound a second. */
const SAMPLES_MAX = 20_000_000;
/** The same for 12 hours: recorders put their samples into fragments, and none into the index before. */
const INDEX_SAMPLES_MAX = 5_000_000;
/** A fragment of a recorder is seconds long; this is two hours of one. */
const FRAGMENT_SAMPLES_MAX = 1_000_000;
/** A day of fragments of a second, many times over. */
const TOP_LEVEL_BOXES_MAX = 2_000_000;
/** An index beyond this is not read: some 50 hours of media. */
const INDEX_BYTES_MAX = 512 * 1024 * 1024;
const FRAGMENT_INDEX_BYTES_MAX = 32 * 1024 * 1024;
const BOX_HEADER_BYTES = 16;
/** Version and flags, with which every table begins. */
const FULL_BOX_BYTES = 4;

/**
 * Refuses an MP4 that claims more samples than it can have: a few bytes can claim billions, and a
 * reader that believes them holds this thread and fills the memory before it finds out. Reads only
 * the tables.
 *
 * @throws MediaUnreadableError
 */
export async function refuseImpossibleSampleCounts(
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    let samples = 0;
    let at = 0;
    for (let boxes = 0; at < size; boxes += 1) {
      signal.throwIfAborted();
      if (boxes >= TOP_LEVEL_BOXES_MAX) throw impossible(`${boxes} boxes`);
      const head = await readBytes(handle, at, Math.min(BOX_HEADER_BYTES, size - at));
      const box = boxAt(head, 0, size - at);
      // What follows is no MP4 any more; whoever reads the file says so.
      if (box === undefined) return;
      if (box.type === "moov" || box.type === "moof") {
        samples += await samplesOf(handle, at + box.headerBytes, at + box.size, size, box.type);
        if (samples > Math.min(SAMPLES_MAX, size)) throw impossible(`${samples} samples`);
      }
      at += box.size;
    }
  } finally {
    await handle.close();
  }
}

async function samplesOf(
  handle: FileHandle,
  from: number,
  to: number,
  fileBytes: number,
  type: "moov" | "moof",
): Promise<number> {
  const byteLength = Math.min(to, fileBytes) - from;
  const bytesMax = type === "moov" ? INDEX_BYTES_MAX : FRAGMENT_INDEX_BYTES_MAX;
  if (byteLength > bytesMax) throw impossible(`an index of ${byteLength} bytes`);
  const bytes = await readBytes(handle, from, byteLength);
  if (type === "moov") {
    const samples = samplesOfIndex(bytes);
    if (samples > INDEX_SAMPLES_MAX) throw impossible(`${samples} samples in the index`);
    return samples;
  }
  const samples = samplesOfFragment(bytes);
  if (samples > FRAGMENT_SAMPLES_MAX) throw impossible(`${samples} samples in a fragment`);
  return samples;
}

/**
 * The most that a table of the index claims, for all tracks (ISO/IEC 14496-12, 8.6.1 and 8.7.3). A box
 * that should be there once can stand twice, and which of them a reader takes is its own affair.
 */
function samplesOfIndex(moov: Buffer): number {
  let samples = 0;
  for (const stbl of allOf(moov, "trak", "mdia", "minf", "stbl")) {
    const tables = boxesIn(stbl);
    const sizes = [...(tables.get("stsz") ?? []), ...(tables.get("stz2") ?? [])].map((table) =>
      numberAt(table, FULL_BOX_BYTES + 4),
    );
    const times = (tables.get("stts") ?? []).map(sumOfRuns);
    samples += [...sizes, ...times].reduce((most, claim) => Math.max(most, claim), 0);
  }
  return samples;
}

/** All boxes at a path of types. */
function allOf(bytes: Buffer, ...types: readonly string[]): Buffer[] {
  return types.reduce<Buffer[]>(
    (found, type) => found.flatMap((box) => boxesIn(box).get(type) ?? []),
    [bytes],
  );
}

function sumOfRuns(stts: Buffer): number {
  let sum = 0;
  for (let at = FULL_BOX_BYTES + 4; at + 8 <= stts.length; at += 8) sum += stts.readUInt32BE(at);
  return sum;
}

/** What the runs of a fragment claim (ISO/IEC 14496-12, 8.8.8). */
function samplesOfFragment(moof: Buffer): number {
  let samples = 0;
  for (const traf of boxesIn(moof).get("traf") ?? []) {
    for (const trun of boxesIn(traf).get("trun") ?? []) samples += numberAt(trun, FULL_BOX_BYTES);
  }
  return samples;
}

function numberAt(table: Buffer, at: number): number {
  return at + 4 <= table.length ? table.readUInt32BE(at) : 0;
}

async function readBytes(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(buffer, 0, length, at);
  return buffer.subarray(0, bytesRead);
}

function impossible(claim: string): MediaUnreadableError {
  return new MediaUnreadableError(`The chunks claim ${claim}, which no recording has.`);
}
