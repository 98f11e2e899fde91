import { type FileHandle, open } from "node:fs/promises";
import type { SegmentReader } from "../recording/ports.ts";
import { boxAt, boxesIn } from "./mp4-boxes.ts";

/** Size, type, and a size of 64 bits where there is one (ISO/IEC 14496-12, 4.2). */
const BOX_HEADER_BYTES_MAX = 16;

/** What a fragment begins with: the rest of a `moof` header, then that of the `mfhd` in it (8.8.5). */
const FRAGMENT_SIGNATURE = Buffer.from("moof\0\0\0\x10mfhd", "latin1");
const SIZE_BYTES = 4;

/** A larger index of a fragment is taken for damage. */
const MOOF_BYTES_MAX = 32 * 1024 * 1024;

/** `base-data-offset-present` (8.8.7): the samples are placed from the beginning of the file. */
const ABSOLUTE_PLACES_FLAG = 0x000001;

/** What was left out of a file of whole fragments. */
export interface LeftOut {
  /** Bytes of undamaged chunks. */
  readonly droppedBytes: number;
  /** Where in the file a fragment follows that others may have been lost before. */
  readonly gapsBytes: readonly number[];
}

/**
 * Writes the payloads of an MP4 segment into a file, and leaves out whatever missing or damaged
 * chunks cut off: the fragment in which they lie, and all bytes up to the next. Moved together, half
 * a fragment and what follows it would be taken for pictures and sound. Of media whose index stands before
 * them, and is not in fragments, all that came before stays.
 *
 * @param onDamaged told the sequence of each chunk whose bytes are not those that were acknowledged
 * @throws file system errors, the signal's reason
 */
export async function writeWholeFragments(
  reader: SegmentReader,
  path: string,
  onDamaged: (sequence: number) => void,
  signal: AbortSignal,
): Promise<LeftOut> {
  const handle = await open(path, "wx+");
  try {
    const file = new FragmentFile(handle);
    let expected = 0;
    for await (const { sequence, payload } of reader.chunks(onDamaged)) {
      signal.throwIfAborted();
      if (sequence !== expected) await file.gap();
      expected = sequence + 1;
      await file.write(payload);
    }
    await file.end();
    return { droppedBytes: file.droppedBytes, gapsBytes: file.gapsBytes };
  } finally {
    await handle.close();
  }
}

/** A file of whole boxes; what turns out not to be whole is cut off again. */
class FragmentFile {
  droppedBytes = 0;
  /** See `LeftOut`. */
  readonly gapsBytes: number[] = [];
  readonly #handle: FileHandle;
  #bytes = 0;
  /** Up to here all is whole: no box is cut off, and no index of a fragment lacks its media. */
  #wholeBytes = 0;
  /** Where the box begins that the bytes are in; its end is infinite when it has no size. */
  #boxFrom = 0;
  #boxTo = 0;
  #type = "";
  /** Bytes that are not written yet: the beginning of a box, or what may hold the next fragment. */
  #held: Buffer = Buffer.alloc(0);
  #searching = false;
  #hasGap = false;
  /** Whether an index has come that is not continued in fragments. */
  #hasPlainIndex = false;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(payload: Uint8Array): Promise<void> {
    let rest: Buffer = Buffer.concat([this.#held, payload]);
    this.#held = Buffer.alloc(0);
    while (rest.length > 0) {
      if (this.#searching) rest = this.#skipToFragment(rest);
      if (this.#searching) break;
      if (this.#bytes === this.#boxTo) {
        const entry = this.#enterBox(rest);
        if (entry === "short") break;
        if (entry === "invalid") {
          // An index of a fragment, whose media should be here.
          await this.#cutOff();
          this.#searching = true;
          const passed = Math.min(rest.length, SIZE_BYTES + 1);
          this.droppedBytes += passed;
          rest = rest.subarray(passed);
          continue;
        }
      }
      const taken = rest.subarray(0, Math.min(rest.length, this.#boxTo - this.#bytes));
      await this.#append(taken);
      rest = rest.subarray(taken.length);
      if (this.#bytes === this.#boxTo) await this.#leaveBox();
    }
    this.#held = rest;
  }

  /** Bytes of the stream are missing here. */
  async gap(): Promise<void> {
    await this.#cutOff();
    this.#searching = true;
    this.#hasGap = true;
  }

  /** The stream is over. */
  async end(): Promise<void> {
    if (this.#boxTo === Infinity) this.#wholeBytes = this.#bytes;
    await this.#cutOff();
  }

  async #append(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length;) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        from,
        bytes.length - from,
        this.#bytes,
      );
      from += bytesWritten;
      this.#bytes += bytesWritten;
    }
  }

  async #cutOff(): Promise<void> {
    const isInMedia = this.#type === "mdat" && this.#bytes > this.#boxFrom;
    if (isInMedia && this.#bytes < this.#boxTo && this.#hasPlainIndex) await this.#endMedia();
    this.droppedBytes += this.#held.length + this.#bytes - this.#wholeBytes;
    this.#held = Buffer.alloc(0);
    await this.#handle.truncate(this.#wholeBytes);
    this.#bytes = this.#wholeBytes;
    this.#boxTo = this.#wholeBytes;
  }

  /** Ends the media where they are: all before is whole. */
  async #endMedia(): Promise<void> {
    const size = Buffer.alloc(BOX_HEADER_BYTES_MAX);
    await this.#handle.read(size, 0, size.length, this.#boxFrom);
    // A size of 1 stands for one of 64 bits behind the type, and 0 for the rest of the file.
    const isLarge = size.readUInt32BE(0) === 1;
    if (isLarge) size.writeBigUInt64BE(BigInt(this.#bytes - this.#boxFrom), 8);
    else if (size.readUInt32BE(0) > 0) size.writeUInt32BE(this.#bytes - this.#boxFrom, 0);
    await this.#handle.write(size, 0, isLarge ? size.length : SIZE_BYTES, this.#boxFrom);
    this.#wholeBytes = this.#bytes;
  }

  /** Learns of the box that begins with these bytes. */
  #enterBox(bytes: Buffer): "entered" | "short" | "invalid" {
    if (bytes.length < BOX_HEADER_BYTES_MAX && (bytes.length < 8 || bytes.readUInt32BE(0) === 1)) {
      return "short";
    }
    const box = boxAt(bytes, 0, Infinity);
    if (box === undefined || (box.type === "moof" && box.size > MOOF_BYTES_MAX)) return "invalid";
    this.#boxFrom = this.#bytes;
    this.#boxTo = this.#bytes + box.size;
    this.#type = box.type;
    return "entered";
  }

  async #leaveBox(): Promise<void> {
    if (this.#type === "moov") this.#hasPlainIndex = !(await this.#box()).includes("mvex");
    if (this.#type !== "moof") this.#wholeBytes = this.#bytes;
    // Behind what was left out, a place that counts from the beginning of the file is another one.
    else if (this.#hasGap && (await this.#hasAbsolutePlaces())) {
      await this.#cutOff();
      this.#searching = true;
    }
  }

  /** The box that the bytes are at the end of. */
  async #box(): Promise<Buffer> {
    const box = Buffer.alloc(this.#bytes - this.#boxFrom);
    await this.#handle.read(box, 0, box.length, this.#boxFrom);
    return box;
  }

  async #hasAbsolutePlaces(): Promise<boolean> {
    const [content = Buffer.alloc(0)] = boxesIn(await this.#box()).get("moof") ?? [];
    return (boxesIn(content).get("traf") ?? []).some((traf) =>
      (boxesIn(traf).get("tfhd") ?? []).some(
        (tfhd) => tfhd.length >= 4 && (tfhd.readUInt32BE(0) & ABSOLUTE_PLACES_FLAG) !== 0,
      ),
    );
  }

  /** What is left from the next fragment on; while there is none, what one may yet begin with. */
  #skipToFragment(bytes: Buffer): Buffer {
    const found = bytes.indexOf(FRAGMENT_SIGNATURE, SIZE_BYTES);
    const isFound = found !== -1;
    const kept = SIZE_BYTES + FRAGMENT_SIGNATURE.length - 1;
    const from = isFound ? found - SIZE_BYTES : Math.max(0, bytes.length - kept);
    this.droppedBytes += from;
    this.#searching = !isFound;
    if (isFound) this.gapsBytes.push(this.#bytes);
    return bytes.subarray(from);
  }
}
