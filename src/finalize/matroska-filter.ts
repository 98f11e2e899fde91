import { ChunkEnds } from "./chunk-ends.ts";
import {
  EBML_HEADER_BYTES_MAX,
  ebmlChildren,
  readEbmlHeader,
  readUnsigned,
  readVint,
} from "./ebml.ts";
import {
  DEFAULT_TIMESTAMP_SCALE_NS,
  type MatroskaTrack,
  parseMuxingApp,
  parseTimestampScaleNs,
  parseTracks,
} from "./matroska-tracks.ts";
import { opusPacketMs } from "./opus-packet.ts";
import { PacketCounter } from "./packet-counter.ts";
import { type LooseRun, looseRun } from "./sound-before-cluster.ts";

/** A track with the packets that went through the filter. */
export interface CountedTrack {
  readonly track: MatroskaTrack;
  /** Opus tells in each packet how long it is. */
  readonly isOpus: boolean;
  readonly packets: PacketCounter;
  /** The first `PACKET_HEAD_BYTES` of its first packet; empty until that has come. */
  head: Uint8Array;
}

/** A block of one packet that went through the filter. */
export interface PassedBlock {
  readonly track: MatroskaTrack;
  /** As its Cluster and itself tell; the codec's delay is still in it. */
  readonly atMs: number;
  /** As the packet itself or its container tells; undefined when neither does. */
  readonly durationMs: number | undefined;
  /** Whether a decoder can begin here. */
  readonly isKey: boolean;
  /** A view of the bytes that were pushed. */
  readonly data: Uint8Array;
}

/** Enough for what a key frame of VP8 says of itself (RFC 6386, 9.1). */
export const PACKET_HEAD_BYTES = 10;

const ID = {
  ebml: 0x1a45dfa3,
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  info: 0x1549a966,
  tracks: 0x1654ae6b,
  cues: 0x1c53bb6b,
  cluster: 0x1f43b675,
  crc32: 0xbf,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  blockDuration: 0x9b,
  referenceBlock: 0xfb,
} as const;

const CLUSTER_MAGIC = Buffer.from([0x1f, 0x43, 0xb6, 0x75]);
/** Segment and Cluster headers of unknown size: what is cut out of them must not break a size. */
const UNSIZED_SEGMENT = Uint8Array.of(0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255);
const UNSIZED_CLUSTER = Uint8Array.of(0x1f, 0x43, 0xb6, 0x75, 1, 255, 255, 255, 255, 255, 255, 255);

/**
 * Largest element that is waited for. A frame of a recorder stays far below; a larger size is taken
 * for damage, so that a wrong length can neither fill the memory nor swallow the rest.
 */
const ELEMENT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Most bytes behind a gap that are kept until the next Cluster comes, to find whole sound in them.
 * Chromium begins one with each keyframe; this is a minute at 2 Mbps.
 */
const BEHIND_GAP_BYTES_MAX = 16 * 1024 * 1024;

/** What is put back overlaps what stands before and behind it by no more: rounding. */
const OVERLAP_MS_MAX = 20;

/** Nor is it farther than this from the new Cluster; else it was not sound without holes. */
const APART_MS_MAX = 500;

const KEY_FLAG = 0x80;
const LACING_MASK = 0x06;
const INVISIBLE_FLAG = 0x08;

/**
 * Chromium's MediaRecorder stamps each Opus packet, of 60 ms, as if it began with the last 10 ms that
 * were put into it (`audio_track_opus_encoder.cc`, `EncodeAudio`). Measured against pictures of the
 * same moment its sound is 34 to 51 ms late, by the source, and the same all through a segment.
 * Without pictures nothing is late: the first packet is the segment's zero then.
 */
export const CHROMIUM_SOUND_LATE_MS = 45;
const CHROMIUM_MUXING_APP = "Chrome";

/**
 * Lets only whole elements of a Matroska stream through, and counts its packets on the way.
 *
 * The count is independent of ffmpeg and is what an MP4 is verified against: ffmpeg itself hides
 * what it skipped. Where bytes are missing or are no Matroska, everything up to the next Cluster is
 * left out, since half a frame and what follows it would otherwise be taken for a picture; so what
 * leaves the filter is always sound, and the count holds for damaged segments too.
 *
 * When it is asked to, it puts right what sound Chromium stamped late, in the bytes that pass and in
 * the count. Times of Matroska cannot be negative, so all that passes then is later by `aheadMs` than
 * it is counted.
 *
 * Behind missing bytes, sound needs nothing of what is missing: whole blocks of it in front of that
 * Cluster are put back. Their own Cluster's timestamp can be missing, but sound has no holes, so the
 * first block in the new Cluster tells when the last one before it ended.
 */
export class MatroskaFilter {
  /** Bytes that were left out as unusable. */
  droppedBytes = 0;
  /** Clusters whose beginning has passed. */
  clusters = 0;
  readonly chunkEnds = new ChunkEnds();
  readonly #tracks = new Map<number, CountedTrack>();
  /** The beginning of an element whose end has not come, in the pieces that it came in. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** With fewer bytes than this nothing more can be told of the rest. */
  #neededBytes = 0;
  #searching = false;
  /** What was left out since a gap; undefined when it is of no use. */
  #behindGap: { readonly pieces: Uint8Array[]; bytes: number } | undefined;
  /** Whole blocks of the first sound from between a gap and this Cluster; their place is not known yet. */
  #loose: LooseRun | undefined;
  /** Whether bytes were left out since the last keyframe: pictures up to the next one may need them. */
  #lacksPictures = false;
  #sawSegment = false;
  #tickMs = DEFAULT_TIMESTAMP_SCALE_NS / 1e6;
  #clusterTicks = 0;
  #muxingApp = "";
  /** By how much sound is moved before the pictures. */
  #aheadTicks = 0;
  readonly #putsSoundRight: boolean;
  readonly #onBlock: ((block: PassedBlock) => void) | undefined;

  /**
   * @param onBlock told of each block of one packet, in their order; of laced ones it is not
   * @param putsSoundRight moves sound that Chromium stamped late
   */
  constructor(onBlock?: (block: PassedBlock) => void, putsSoundRight = false) {
    this.#onBlock = onBlock;
    this.#putsSoundRight = putsSoundRight;
  }

  /** Tracks in the order of the header; empty until it has come. */
  get tracks(): readonly CountedTrack[] {
    return [...this.#tracks.values()];
  }

  /** How much later than they are counted all packets are passed on. */
  get aheadMs(): number {
    return this.#aheadTicks * this.#tickMs;
  }

  /**
   * Takes the next bytes of the stream and gives what can be passed on, in pieces. They are the same
   * memory, and nothing else holds on to it: with the next call it may be another's. Where sound is put right, its times are changed in it.
   */
  push(bytes: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = [];
    // Only what an element that was begun still needs is put together with the rest: the bytes of a
    // chunk are passed on as they are, not copied.
    let from = 0;
    while (this.#restBytes > 0 && from < bytes.length) {
      const wanted = this.#searching
        ? bytes.length
        : Math.max(this.#neededBytes - this.#restBytes, EBML_HEADER_BYTES_MAX);
      const taken = bytes.subarray(from, from + wanted);
      this.#keep(taken);
      from += taken.length;
      if (this.#restBytes < this.#neededBytes) break;
      const rest = Buffer.concat(this.#rest);
      this.#forgetRest();
      out.push(...this.#pass(rest));
    }
    if (from < bytes.length) out.push(...this.#pass(bytes.subarray(from)));
    return out;
  }

  /** Gives what of the bytes can be passed on; keeps the beginning of an element without its end. */
  #pass(all: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = [];
    let offset = 0;
    let copyFrom = 0;
    const copyUpTo = (to: number): void => {
      if (to > copyFrom) out.push(all.subarray(copyFrom, to));
    };
    for (;;) {
      if (this.#searching) {
        copyUpTo(offset);
        this.#lacksPictures = true;
        const found = this.#findCluster(all, offset);
        this.#leaveOut(all.subarray(offset, found));
        offset = found;
        copyFrom = found;
        if (this.#searching) break;
        this.#findLoose();
      }
      const header = readEbmlHeader(all, offset);
      if (header === "short") break;
      if (header === "invalid" || !this.#isPlausible(header.id, header.dataBytes)) {
        this.#searching = true;
        this.#loose = undefined;
        continue;
      }
      const { id, headerBytes, dataBytes } = header;
      if (id === ID.segment || id === ID.cluster) {
        this.#sawSegment = true;
        if (id === ID.cluster) this.clusters += 1;
        if (dataBytes !== undefined) {
          copyUpTo(offset);
          out.push(id === ID.segment ? UNSIZED_SEGMENT : UNSIZED_CLUSTER);
          copyFrom = offset + headerBytes;
        }
        offset += headerBytes;
        continue;
      }
      const end = offset + headerBytes + (dataBytes ?? 0);
      if (end > all.length) {
        this.#neededBytes = end - offset;
        break;
      }
      const from = offset + headerBytes;
      if (this.#loose !== undefined && id === ID.simpleBlock) {
        const placed = this.#placeLoose(this.#loose, all, from);
        if (placed.length > 0) {
          copyUpTo(offset);
          copyFrom = offset;
          out.push(...placed);
        }
      }
      // Nearly all elements are these: no view is made for each.
      const isWanted =
        id === ID.simpleBlock
          ? this.#takeBlock(all, from, end)
          : this.#take(id, all.subarray(from, end));
      // A time that no clock can tell is passed on as it is.
      const isLate =
        id === ID.timestamp && this.#aheadTicks > 0 && Number.isSafeInteger(this.#clusterTicks);
      if (!isWanted || isLate) {
        copyUpTo(offset);
        copyFrom = end;
      }
      if (isLate) out.push(timestampElement(this.#clusterTicks + this.#aheadTicks));
      offset = end;
    }
    copyUpTo(offset);
    this.#keep(all.subarray(offset));
    return out;
  }

  /** All bytes of a chunk have been pushed. Before the first packet there is nothing to be told of it. */
  endChunk(sequence: number): void {
    let mediaEndMs = -Infinity;
    for (const { track, packets } of this.#tracks.values()) {
      if (track.kind === "other") continue;
      mediaEndMs = Math.max(mediaEndMs, packets.endMs ?? -Infinity);
    }
    if (mediaEndMs !== -Infinity) this.chunkEnds.add(sequence, mediaEndMs);
  }

  /** Bytes of the stream are missing here: what was begun cannot be ended. */
  gap(): void {
    this.droppedBytes += this.#restBytes;
    this.#forgetRest();
    this.#searching = true;
    this.#loose = undefined;
    this.#behindGap = { pieces: [], bytes: 0 };
  }

  /**
   * The stream is over. An element whose end never came is left out. Of one that has not even its
   * header nothing is lost: Chromium's chunks end with the first byte of the next block, which never
   * comes when the page is closed or killed.
   */
  end(): void {
    const isBegunHeader = readEbmlHeader(Buffer.concat(this.#rest), 0) === "short";
    if (this.#searching || !isBegunHeader) this.droppedBytes += this.#restBytes;
    this.#forgetRest();
    for (const { packets } of this.#tracks.values()) packets.end();
  }

  #forgetRest(): void {
    this.#rest = [];
    this.#restBytes = 0;
    this.#neededBytes = 0;
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    // A copy: whose memory it is may use it again.
    this.#rest.push(new Uint8Array(bytes));
    this.#restBytes += bytes.length;
  }

  #leaveOut(bytes: Uint8Array): void {
    this.droppedBytes += bytes.length;
    if (this.#behindGap === undefined || bytes.length === 0) return;
    this.#behindGap.pieces.push(new Uint8Array(bytes));
    this.#behindGap.bytes += bytes.length;
    if (this.#behindGap.bytes > BEHIND_GAP_BYTES_MAX) this.#behindGap = undefined;
  }

  /** A Cluster begins behind a gap: finds whole sound in front of it. */
  #findLoose(): void {
    const { pieces } = this.#behindGap ?? { pieces: [] };
    this.#behindGap = undefined;
    const sound = this.tracks.find(({ track }) => track.kind === "audio");
    if (sound === undefined || pieces.length === 0) return;
    const numbers = new Set(this.#tracks.keys());
    this.#loose = looseRun(Buffer.concat(pieces), numbers, sound.track.number);
  }

  /**
   * Gives the loose sound with its place when this SimpleBlock is the first of the same track in the
   * new Cluster, and counts it.
   */
  #placeLoose(
    { blocks, lastRelativeTicks }: LooseRun,
    bytes: Uint8Array,
    from: number,
  ): Uint8Array[] {
    const sound = this.tracks.find(({ track }) => track.kind === "audio");
    const [first, last] = [blocks[0], blocks.at(-1)];
    if (sound === undefined || bytes[from] !== (0x80 | sound.track.number)) return [];
    this.#loose = undefined;
    if (first === undefined || last === undefined) return [];
    const followsTicks = this.#clusterTicks + readInt16(bytes, from + 1);
    const before = blocks.at(-2)?.relativeTicks ?? last.relativeTicks;
    const opusMs = sound.isOpus
      ? opusPacketMs(last.element, last.contentAt + BLOCK_HEADER_BYTES, last.element.length)
      : undefined;
    const lastMs = opusMs ?? sound.track.frameMs ?? (last.relativeTicks - before) * this.#tickMs;
    const ticks = followsTicks - Math.round(lastMs / this.#tickMs) - last.relativeTicks;
    const firstTicks = ticks + first.relativeTicks - (sound.isOpus ? this.#aheadTicks : 0);
    const firstMs = firstTicks * this.#tickMs - sound.track.codecDelayMs;
    const apartMs = (this.#clusterTicks - ticks - lastRelativeTicks) * this.#tickMs;
    const fits =
      Number.isSafeInteger(ticks) &&
      ticks >= 0 &&
      firstMs >= (sound.packets.endMs ?? 0) - OVERLAP_MS_MAX &&
      apartMs >= -OVERLAP_MS_MAX &&
      apartMs <= APART_MS_MAX;
    if (!fits) return [];
    const clusterTicks = this.#clusterTicks;
    this.#clusterTicks = ticks;
    for (const { element, contentAt } of blocks) {
      this.#takeBlock(element, contentAt, element.length);
      this.droppedBytes -= element.length;
    }
    this.#clusterTicks = clusterTicks;
    return [
      UNSIZED_CLUSTER,
      timestampElement(ticks + this.#aheadTicks),
      ...blocks.map(({ element }) => element),
      UNSIZED_CLUSTER,
      timestampElement(clusterTicks + this.#aheadTicks),
    ];
  }

  #isPlausible(id: number, dataBytes: number | undefined): boolean {
    if (id === ID.segment || id === ID.cluster) return this.#sawSegment || id === ID.segment;
    if (dataBytes === undefined || dataBytes > ELEMENT_BYTES_MAX) return false;
    return this.#sawSegment || id === ID.ebml;
  }

  /**
   * Index of the next Cluster that is followed by what one begins with; `searching` ends there. Else
   * the index from which on more bytes are needed to tell.
   */
  #findCluster(all: Uint8Array, from: number): number {
    const buffer = Buffer.from(all.buffer, all.byteOffset, all.byteLength);
    // Without the header nothing that follows can be used.
    if (this.#tracks.size === 0) return all.length;
    for (let at = buffer.indexOf(CLUSTER_MAGIC, from); at !== -1;) {
      const header = readEbmlHeader(all, at);
      if (header === "short") return at;
      if (header !== "invalid") {
        const child = readEbmlHeader(all, at + header.headerBytes);
        if (child === "short") return at;
        // A checksum comes first where there is one (RFC 8794, 11.3.1), as ffmpeg writes it.
        if (child !== "invalid" && (child.id === ID.timestamp || child.id === ID.crc32)) {
          this.#searching = false;
          return at;
        }
      }
      at = buffer.indexOf(CLUSTER_MAGIC, at + 1);
    }
    return Math.max(from, all.length - EBML_HEADER_BYTES_MAX);
  }

  /** Learns from a whole element. Gives whether it is to be passed on. */
  #take(id: number, data: Uint8Array): boolean {
    switch (id) {
      case ID.info: {
        this.#tickMs = parseTimestampScaleNs(data) / 1e6;
        this.#muxingApp = parseMuxingApp(data);
        return true;
      }
      case ID.tracks: {
        for (const track of parseTracks(data)) {
          if (this.#tracks.has(track.number)) continue;
          const packets = new PacketCounter(track.kind === "audio" ? "audio" : "video");
          const isOpus = track.codecId === "A_OPUS" && !track.encoded;
          this.#tracks.set(track.number, { track, isOpus, packets, head: new Uint8Array() });
        }
        if (this.#putsSoundRight && this.#hasLateSound()) {
          this.#aheadTicks = Math.round(CHROMIUM_SOUND_LATE_MS / this.#tickMs);
        }
        return true;
      }
      case ID.timestamp: {
        this.#clusterTicks = 0;
        for (const byte of data) this.#clusterTicks = this.#clusterTicks * 256 + byte;
        return true;
      }
      case ID.blockGroup: {
        return this.#takeGroup(data);
      }
      // Positions in the file do not hold for what is passed on, and no reader of a pipe can seek.
      case ID.seekHead:
      case ID.cues: {
        return false;
      }
      default: {
        return true;
      }
    }
  }

  #hasLateSound(): boolean {
    return (
      this.#muxingApp === CHROMIUM_MUXING_APP &&
      // What only says that it is Chromium's can count in ticks of any length.
      this.#tickMs === DEFAULT_TIMESTAMP_SCALE_NS / 1e6 &&
      this.tracks.some(({ track }) => track.kind === "video") &&
      this.tracks.some(({ isOpus }) => isOpus)
    );
  }

  #takeGroup(data: Uint8Array): boolean {
    let block: Uint8Array | undefined;
    let durationMs: number | undefined;
    let isKey = true;
    for (const child of ebmlChildren(data)) {
      if (child.id === ID.referenceBlock) isKey = false;
      if (child.id === ID.block) block = child.data;
      if (child.id === ID.blockDuration) {
        durationMs = readUnsigned(child.data, 0, child.data.length) * this.#tickMs;
      }
    }
    return block !== undefined && this.#takeBlock(block, 0, block.length, { durationMs, isKey });
  }

  /**
   * @param to exclusive
   * @param group what the block's group tells of it
   */
  #takeBlock(bytes: Uint8Array, from: number, to: number, group?: BlockGroup): boolean {
    const first = bytes[from] ?? 0;
    const number = first >= 0x80 ? { value: first & 0x7f, length: 1 } : readVint(bytes, from);
    const at = from + (number?.length ?? 0);
    const counted = number === undefined ? undefined : this.#tracks.get(number.value);
    const dataAt = at + 3;
    if (counted === undefined || dataAt > to) {
      this.droppedBytes += to - from;
      return false;
    }
    const relativeTicks = readInt16(bytes, at);
    const flags = bytes[at + 2] ?? 0;
    const isLaced = (flags & LACING_MASK) !== 0;
    if (counted.packets.packets === 0 && !isLaced) {
      const head = bytes.subarray(dataAt, Math.min(to, dataAt + PACKET_HEAD_BYTES));
      counted.head = new Uint8Array(head);
    }
    const packets = isLaced ? (bytes[dataAt] ?? 0) + 1 : 1;
    const opusMs = counted.isOpus && !isLaced ? opusPacketMs(bytes, dataAt, to) : undefined;
    const atMs = (this.#clusterTicks + relativeTicks) * this.#tickMs;
    const durationMs = opusMs ?? group?.durationMs ?? framesMs(counted.track, packets);
    const earlierTicks = counted.isOpus ? this.#aheadTicks : 0;
    if (earlierTicks > 0) setInt16(bytes, at, relativeTicks - earlierTicks);
    const isKey = group?.isKey ?? (flags & KEY_FLAG) !== 0;
    if (counted.track.kind === "video" && isKey) this.#lacksPictures = false;
    counted.packets.add({
      atMs: atMs - earlierTicks * this.#tickMs - counted.track.codecDelayMs,
      durationMs,
      packets,
      // Of laced and encoded blocks the frames' own size is not worked out.
      bytes: isLaced || counted.track.encoded ? undefined : to - dataAt,
      isVisible: (flags & INVISIBLE_FLAG) === 0,
      needsLost: counted.track.kind === "video" && this.#lacksPictures,
    });
    if (this.#onBlock !== undefined && !isLaced) {
      const data = bytes.subarray(dataAt, to);
      this.#onBlock({ track: counted.track, atMs, durationMs, isKey, data });
    }
    return true;
  }
}

/** Track, time and flags of a block whose track's number takes one byte. */
const BLOCK_HEADER_BYTES = 4;

/** Two bytes, signed (RFC 9559, section 10.1). */
function readInt16(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) >> 16) | (bytes[at + 1] ?? 0);
}

function setInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (value >> 8) & 0xff;
  bytes[at + 1] = value & 0xff;
}

/** A Cluster's Timestamp of eight bytes (RFC 9559, section 5.1.3.1). */
function timestampElement(ticks: number): Uint8Array {
  const element = Buffer.from([ID.timestamp, 0x88, 0, 0, 0, 0, 0, 0, 0, 0]);
  element.writeBigUInt64BE(BigInt(ticks), 2);
  return element;
}

type BlockGroup = Pick<PassedBlock, "durationMs" | "isKey">;

function framesMs({ frameMs }: MatroskaTrack, frames: number): number | undefined {
  return frameMs === undefined ? undefined : frameMs * frames;
}
