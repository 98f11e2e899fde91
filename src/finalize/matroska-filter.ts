import { ChunkEnds } from "./chunk-ends.ts";
import { EBML_HEADER_BYTES_MAX, type EbmlHeader, ebmlChildren, readEbmlHeader } from "./ebml.ts";
import {
  ID,
  UNSIZED_CLUSTER,
  UNSIZED_SEGMENT,
  elementOf,
  plainEbmlHeader,
  timestampElement,
} from "./matroska-elements.ts";
import {
  DEFAULT_TIMESTAMP_SCALE_NS,
  parseMuxingApp,
  parseTimestampScaleNs,
  parseTracks,
} from "./matroska-tracks.ts";
import { type CountedTrack, PassingBlocks, type PassedBlock } from "./passing-blocks.ts";
import { type LooseRun, looseRun } from "./sound-before-cluster.ts";

const CLUSTER_MAGIC = Buffer.from([0x1f, 0x43, 0xb6, 0x75]);

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
  /** Outside of blocks that came whole. */
  #droppedBytes = 0;
  /** Clusters whose beginning has passed. */
  clusters = 0;
  readonly chunkEnds = new ChunkEnds();
  readonly #blocks: PassingBlocks;
  /** The beginning of an element whose end has not come, in the pieces that it came in. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** With fewer bytes than this nothing more can be told of the rest. */
  #neededBytes = 0;
  #searching = false;
  /** What was left out since a gap; undefined when it is of no use. */
  #behindGap:
    | { readonly pieces: Uint8Array[]; bytes: number; readonly clusterBytes: number | undefined }
    | undefined;
  /** Of what was pushed, without the rest. */
  #takenBytes = 0;
  /** Where the Cluster ends in what was pushed; undefined when it does not say. */
  #clusterEnd: number | undefined;
  /** Whole blocks of the first sound from between a gap and this Cluster; their place is not known yet. */
  #loose: LooseRun | undefined;
  /** What is to be given with the next bytes. */
  #owed: Uint8Array[] = [];
  #sawSegment = false;
  #sawInfo = false;
  #muxingApp = "";
  readonly #putsSoundRight: boolean;

  /**
   * @param onBlock told of each packet, in their order
   * @param putsSoundRight moves sound that Chromium stamped late. Bytes that are pushed may be changed then
   */
  constructor(onBlock?: (block: PassedBlock) => void, putsSoundRight = false) {
    this.#blocks = new PassingBlocks({ onBlock, mayChange: putsSoundRight });
    this.#putsSoundRight = putsSoundRight;
  }

  /** Tracks in the order of the header; empty until it has come. */
  get tracks(): readonly CountedTrack[] {
    return this.#blocks.tracks;
  }

  /** Whether all has come that blocks need. */
  get hasHeader(): boolean {
    return this.#blocks.hasTracks && (this.#sawInfo || this.clusters > 0);
  }

  /** How much later than they are counted all packets are passed on. */
  get aheadMs(): number {
    return this.#blocks.laterTicks * this.#blocks.tickMs;
  }

  /** Bytes that were left out as unusable. */
  get droppedBytes(): number {
    return this.#droppedBytes + this.#blocks.droppedBytes;
  }

  /** Lets pictures before the first keyframe pass; for streams that have none. */
  keepLeading(): void {
    this.#blocks.keepsLeading = true;
  }

  /**
   * Takes the next bytes of the stream and gives what can be passed on, in pieces. They are the same
   * memory, and nothing else holds on to it: with the next call it may be another's. Where sound is put
   * right, times and flags are changed in it.
   */
  push(bytes: Uint8Array): Uint8Array[] {
    const out = this.#owed.splice(0);
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
        this.#blocks.losePictures();
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
      const from = offset + headerBytes;
      if (id === ID.segment || id === ID.cluster) {
        const instead = id === ID.segment ? this.#beginSegment() : this.#beginCluster();
        this.#clusterEnd = dataBytes && this.#takenBytes + from + dataBytes;
        if (instead === undefined || dataBytes !== undefined || headerBytes !== instead.length) {
          copyUpTo(offset);
          if (instead !== undefined) out.push(instead);
          copyFrom = from;
        }
        offset = from;
        continue;
      }
      const end = from + (dataBytes ?? 0);
      if (end > all.length) {
        this.#neededBytes = end - offset;
        break;
      }
      const passed =
        id === ID.simpleBlock || id === ID.blockGroup
          ? this.#takeBlock(id, all, offset, from, end)
          : this.#take(id, all.subarray(from, end));
      if (passed !== undefined) {
        copyUpTo(offset);
        out.push(...passed);
        copyFrom = end;
      }
      offset = end;
    }
    copyUpTo(offset);
    this.#takenBytes += offset;
    this.#keep(all.subarray(offset));
    return out;
  }

  /** All bytes of a chunk have been pushed. Before the first packet there is nothing to be told of it. */
  endChunk(sequence: number): void {
    let mediaEndMs = -Infinity;
    for (const { track, packets } of this.tracks) {
      if (track.kind === "other") continue;
      mediaEndMs = Math.max(mediaEndMs, packets.endMs ?? -Infinity);
    }
    if (mediaEndMs !== -Infinity) this.chunkEnds.add(sequence, mediaEndMs);
  }

  /** Bytes of the stream are missing here: what was begun cannot be ended. */
  gap(): void {
    const at = this.#takenBytes + this.#restBytes;
    const clusterBytes = this.#clusterEnd === undefined ? undefined : this.#clusterEnd - at;
    this.#droppedBytes += this.#restBytes;
    this.#takenBytes = at;
    this.#forgetRest();
    this.#owed.push(...this.#blocks.flush());
    this.#searching = true;
    this.#loose = undefined;
    this.#behindGap = { pieces: [], bytes: 0, clusterBytes };
  }

  /**
   * The stream is over. An element whose end never came is left out. Of one that has not even its
   * header nothing is lost: Chromium's chunks end with the first byte of the next block, which never
   * comes when the page is closed or killed. Gives what waited for more.
   */
  end(): Uint8Array[] {
    const isBegunHeader = readEbmlHeader(Buffer.concat(this.#rest), 0) === "short";
    if (this.#searching || !isBegunHeader) this.#droppedBytes += this.#restBytes;
    const tail = this.#searching ? this.#placeTail() : [];
    this.#forgetRest();
    const last = [...this.#owed.splice(0), ...tail, ...this.#blocks.flush()];
    for (const { packets } of this.tracks) packets.end();
    return last;
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
    this.#droppedBytes += bytes.length;
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
    this.#loose = looseRun(Buffer.concat(pieces), this.#blocks.numbers, sound.track.number);
  }

  /**
   * The stream ends behind a gap: gives whole sound behind it, and counts it, where the Cluster from
   * before the gap says that it reaches so far, and times go on as in it.
   */
  #placeTail(): Uint8Array[] {
    const { pieces, clusterBytes } = this.#behindGap ?? { pieces: [], clusterBytes: undefined };
    const sound = this.tracks.find(({ track }) => track.kind === "audio");
    const { clusterTicks, tickMs, soundEarlierTicks } = this.#blocks;
    if (sound === undefined || clusterTicks === undefined || clusterBytes === undefined) return [];
    const bytes = Buffer.concat([...pieces, ...this.#rest]);
    const run = looseRun(bytes, this.#blocks.numbers, sound.track.number);
    const [first] = run?.blocks ?? [];
    if (run === undefined || first === undefined || run.blocksEnd > clusterBytes) return [];
    const firstTicks = clusterTicks + first.relativeTicks - (sound.isOpus ? soundEarlierTicks : 0);
    const firstMs = firstTicks * tickMs - sound.track.codecDelayMs;
    if (firstMs < (sound.packets.endMs ?? 0) - OVERLAP_MS_MAX) return [];
    return run.blocks.flatMap(({ id, element, contentAt }) => {
      this.#droppedBytes -= element.length;
      return this.#blocks.take(id, element, 0, contentAt, element.length) ?? [element];
    });
  }

  /** A SimpleBlock or a BlockGroup. Gives what is passed on for it; undefined when that is itself. */
  #takeBlock(
    id: number,
    all: Uint8Array,
    elementFrom: number,
    from: number,
    to: number,
  ): readonly Uint8Array[] | undefined {
    const loose = this.#loose;
    const placed = loose === undefined ? [] : this.#placeLoose(loose, id, all, from, to);
    const passed = this.#blocks.take(id, all, elementFrom, from, to);
    if (placed.length === 0) return passed;
    return [...placed, ...(passed ?? [all.subarray(elementFrom, to)])];
  }

  /**
   * Gives the loose sound with its place when this block is the first of the same track in the new
   * Cluster, and counts it.
   */
  #placeLoose(
    { blocks, lastRelativeTicks }: LooseRun,
    id: number,
    all: Uint8Array,
    from: number,
    to: number,
  ): Uint8Array[] {
    const sound = this.tracks.find(({ track }) => track.kind === "audio");
    const [first, last] = [blocks[0], blocks.at(-1)];
    const { clusterTicks, tickMs } = this.#blocks;
    if (sound === undefined || clusterTicks === undefined) return [];
    const next = this.#blocks.headOf(id, all, from, to);
    if (next?.number !== sound.track.number) return [];
    this.#loose = undefined;
    if (first === undefined || last === undefined) return [];
    const followsTicks = clusterTicks + next.relativeTicks;
    const before = blocks.at(-2)?.relativeTicks ?? last.relativeTicks;
    const { id: lastId, element: lastElement, contentAt: lastAt } = last;
    const told = this.#blocks.headOf(lastId, lastElement, lastAt, lastElement.length)?.durationMs;
    const lastMs = told ?? (last.relativeTicks - before) * tickMs;
    const ticks = followsTicks - Math.round(lastMs / tickMs) - last.relativeTicks;
    const { soundEarlierTicks, laterTicks } = this.#blocks;
    const firstTicks = ticks + first.relativeTicks - (sound.isOpus ? soundEarlierTicks : 0);
    const firstMs = firstTicks * tickMs - sound.track.codecDelayMs;
    const apartMs = (clusterTicks - ticks - lastRelativeTicks) * tickMs;
    const fits =
      Number.isSafeInteger(ticks) &&
      ticks >= 0 &&
      firstMs >= (sound.packets.endMs ?? 0) - OVERLAP_MS_MAX &&
      apartMs >= -OVERLAP_MS_MAX &&
      apartMs <= APART_MS_MAX;
    if (!fits) return [];
    const out = [UNSIZED_CLUSTER, timestampElement(ticks + laterTicks)];
    this.#blocks.beginCluster();
    this.#blocks.timestamp(ticks);
    for (const { id: own, element, contentAt } of blocks) {
      const passed = this.#blocks.take(own, element, 0, contentAt, element.length);
      out.push(...(passed ?? [element]));
      this.#droppedBytes -= element.length;
    }
    this.#blocks.beginCluster();
    this.#blocks.timestamp(clusterTicks);
    return [...out, UNSIZED_CLUSTER, timestampElement(clusterTicks + laterTicks)];
  }

  #isPlausible(id: number, dataBytes: number | undefined): boolean {
    if (id === ID.segment || id === ID.cluster) return this.#sawSegment || id === ID.segment;
    if (dataBytes === undefined || dataBytes > ELEMENT_BYTES_MAX) return false;
    return this.#sawSegment || id === ID.ebml || id === ID.void;
  }

  /**
   * Index of the next Cluster that is followed by what one begins with; `searching` ends there. Else
   * the index from which on more bytes are needed to tell.
   */
  #findCluster(all: Uint8Array, from: number): number {
    const buffer = Buffer.from(all.buffer, all.byteOffset, all.byteLength);
    // Without the header nothing that follows can be used.
    if (!this.#blocks.hasTracks) return all.length;
    for (let at = buffer.indexOf(CLUSTER_MAGIC, from); at !== -1;) {
      const header = readEbmlHeader(all, at);
      if (header === "short") return at;
      if (header !== "invalid") {
        const child = readEbmlHeader(all, at + header.headerBytes);
        if (child === "short") return at;
        if (child !== "invalid" && fitsIn(child, header.dataBytes)) {
          this.#searching = false;
          return at;
        }
      }
      at = buffer.indexOf(CLUSTER_MAGIC, at + 1);
    }
    return Math.max(from, all.length - EBML_HEADER_BYTES_MAX);
  }

  /** A Segment's header: gives what is passed on for it, undefined when that is nothing. */
  #beginSegment(): Uint8Array | undefined {
    const isFirst = !this.#sawSegment;
    this.#sawSegment = true;
    return isFirst ? UNSIZED_SEGMENT : undefined;
  }

  /** The same of a Cluster's. */
  #beginCluster(): Uint8Array {
    this.#sawSegment = true;
    this.clusters += 1;
    if (this.clusters === 1 && this.#putsSoundRight && this.#hasLateSound()) {
      const aheadTicks = Math.round(CHROMIUM_SOUND_LATE_MS / this.#blocks.tickMs);
      this.#blocks.soundEarlierTicks = aheadTicks;
      this.#blocks.laterTicks = aheadTicks;
    }
    this.#blocks.beginCluster();
    return UNSIZED_CLUSTER;
  }

  /**
   * Learns from a whole element that is no block. Gives what is passed on for it; undefined when that is
   * itself. What no decoder needs is left out: what fills up, checksums over what may be changed,
   * places in a file that are other ones now, and all that is not known.
   */
  #take(id: number, data: Uint8Array): readonly Uint8Array[] | undefined {
    switch (id) {
      case ID.ebml: {
        if (this.#sawSegment) return [];
        const plain = plainEbmlHeader(ebmlChildren(data));
        return plain && [plain];
      }
      case ID.info: {
        if (this.#sawInfo || this.clusters > 0) return [];
        this.#sawInfo = true;
        this.#blocks.tickMs = parseTimestampScaleNs(data) / 1e6;
        this.#muxingApp = parseMuxingApp(data);
        return undefined;
      }
      case ID.tracks: {
        const isNews = parseTracks(data).map((track) => this.#blocks.addTrack(track));
        // Repeated for those who begin in the middle (RFC 9559, section 5.1.4).
        return isNews.includes(true) ? undefined : [];
      }
      case ID.timestamp: {
        let ticks = 0;
        for (const byte of data) ticks = ticks * 256 + byte;
        const early = this.#blocks.timestamp(ticks);
        const { laterTicks } = this.#blocks;
        // A time that no clock can tell is passed on as it is.
        const isLate = laterTicks > 0 && Number.isSafeInteger(ticks);
        if (!isLate && early.length === 0) return undefined;
        const isClock = Number.isSafeInteger(ticks + laterTicks);
        return [isClock ? timestampElement(ticks + laterTicks) : elementOf(id, data), ...early];
      }
      default: {
        return [];
      }
    }
  }

  #hasLateSound(): boolean {
    return (
      this.#muxingApp === CHROMIUM_MUXING_APP &&
      // What only says that it is Chromium's can count in ticks of any length.
      this.#blocks.tickMs === DEFAULT_TIMESTAMP_SCALE_NS / 1e6 &&
      this.tracks.some(({ track }) => track.kind === "video") &&
      this.tracks.some(({ isOpus }) => isOpus)
    );
  }
}

/** Whether an element can be the first in a Cluster of this size: any legal one can. */
function fitsIn({ headerBytes, dataBytes }: EbmlHeader, clusterBytes: number | undefined): boolean {
  if (dataBytes === undefined || dataBytes > ELEMENT_BYTES_MAX) return false;
  return clusterBytes === undefined || headerBytes + dataBytes <= clusterBytes;
}
