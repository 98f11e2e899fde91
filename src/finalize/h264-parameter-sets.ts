import { open } from "node:fs/promises";
import { readAt } from "../storage/whole-transfer.ts";
import { boxesIn } from "./mp4-boxes.ts";
import type { SampleTable } from "./mp4-sample-tables.ts";
import type { Insertion } from "./timeline-track.ts";

/** Fields of a VisualSampleEntry before its boxes, with its header (ISO/IEC 14496-12, 12.1.3). */
const VIDEO_ENTRY_BYTES = 86;

/** What is read of a keyframe to see whether it begins with parameter sets; they are some 40 bytes. */
const KEYFRAME_HEAD_BYTES = 256;

const NAL = { slice: 1, idr: 5, sequenceParameters: 7, delimiter: 9 } as const;

/** The `avcC` of a sample entry (ISO/IEC 14496-15, 5.3.3.1); empty when it has none. */
export function avcConfiguration(entry: Buffer): Buffer {
  return boxesIn(entry.subarray(VIDEO_ENTRY_BYTES)).get("avcC")?.[0] ?? Buffer.alloc(0);
}

/** Bytes of the length before each NAL unit; Chromium and ffmpeg write 4. */
function nalLengthBytes(avcC: Buffer): number {
  return ((avcC[4] ?? 3) & 3) + 1;
}

/** The sequence and picture parameter sets of an `avcC`, as they stand in a sample. */
function parameterSets(avcC: Buffer): Buffer {
  const units: Buffer[] = [];
  const lengthBytes = nalLengthBytes(avcC);
  let at = 5;
  for (const countMask of [0x1f, 0xff]) {
    const count = (avcC[at] ?? 0) & countMask;
    at += 1;
    for (let i = 0; i < count && at + 2 <= avcC.length; i += 1) {
      const length = avcC.readUInt16BE(at);
      if (at + 2 + length > avcC.length) return Buffer.concat(units);
      const head = Buffer.alloc(lengthBytes);
      head.writeUIntBE(length, 0, lengthBytes);
      units.push(head);
      units.push(avcC.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
  }
  return Buffer.concat(units);
}

/**
 * Where parameter sets must be put in, by the sample's index, so that each keyframe brings those that
 * it needs: a decoder that was set up for another segment of the track takes them from the stream.
 * Keyframes that bring their own, as Chromium's do, are left as they are.
 */
export async function missingParameterSets(
  part: number,
  path: string,
  table: SampleTable,
): Promise<ReadonlyMap<number, Insertion>> {
  const avcC = avcConfiguration(table.entries[0] ?? Buffer.alloc(0));
  const bytes = parameterSets(avcC);
  const lengthBytes = nalLengthBytes(avcC);
  const insertions = new Map<number, Insertion>();
  const handle = await open(path, "r");
  try {
    for (let i = 0; i < table.count; i += 1) {
      if (table.isSync?.[i] === 0) continue;
      const offset = table.offsetsBytes[i] ?? 0;
      const head = await readAt(handle, offset, Math.min(KEYFRAME_HEAD_BYTES, table.sizes[i] ?? 0));
      const at = placeForParameterSets(head, lengthBytes);
      if (at !== undefined) {
        insertions.set(i, { part, atBytes: offset + at, bytes, isOfSample: true });
      }
    }
  } finally {
    await handle.close();
  }
  return insertions;
}

/** Behind the access unit delimiter, which must be first (ITU-T H.264, 7.4.1.2.3); undefined when not needed. */
function placeForParameterSets(head: Buffer, lengthBytes: number): number | undefined {
  let place = 0;
  for (let at = 0; at + lengthBytes < head.length;) {
    const type = (head[at + lengthBytes] ?? 0) & 0x1f;
    if (type === NAL.sequenceParameters) return undefined;
    if (type === NAL.idr || type === NAL.slice) break;
    at += lengthBytes + head.readUIntBE(at, lengthBytes);
    if (type === NAL.delimiter) place = at;
  }
  return place;
}
