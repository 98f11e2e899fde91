import {
  type BlockGroup,
  type BlockTold,
  type WaitingLace,
  blockElement,
  copyOf,
  frameGroup,
  groupOf,
} from "./block-group.ts";
import { type FramePlace, LACING_MASK, lacedFrames } from "./block-lacing.ts";
import { ClusterTimes, RELATIVE_TICKS } from "./cluster-times.ts";
import { type PictureReader, pictureReaderOf } from "./coded-picture.ts";
import { readVint } from "./ebml.ts";
import {
  BLOCK_FLAG,
  ID,
  UNSIZED_CLUSTER,
  readInt16,
  timestampElement,
} from "./matroska-elements.ts";
import { DEFAULT_TIMESTAMP_SCALE_NS, type MatroskaTrack } from "./matroska-tracks.ts";
import { opusPacketMs } from "./opus-packet.ts";
import { PacketCounter } from "./packet-counter.ts";
import { SUPERFRAME_FRAMES_MAX, vp9Frames, vp9Superframe } from "./vp9-picture.ts";

/** A track with the packets that went through the filter. */
export interface CountedTrack {
  readonly track: MatroskaTrack;
  /** Opus tells in each packet how long it is. */
  readonly isOpus: boolean;
  readonly packets: PacketCounter;
  /** Whether a picture has come that a decoder can begin with. */
  readonly hasKeyframe: boolean;
}

/** A packet that went through the filter. */
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

/** How blocks are taken. */
export interface PassingOptions {
  /** Told of each packet, in their order. */
  readonly onBlock: ((block: PassedBlock) => void) | undefined;
  /** Whether times and flags may be changed in the bytes that come; else a block is copied for it. */
  readonly mayChange: boolean;
}

/** Most bytes that wait for what tells their place: laces, frames that are not shown, early blocks. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;

/** Most blocks that stand before their Cluster's Timestamp, each with some memory of its own. */
const EARLY_BLOCKS_MAX = 20_000;

/** Frames of sound are no longer: what seems so has a hole behind it. */
const LACED_FRAME_MS_MAX = 500;

/** Nothing of a block is passed on. */
const NOTHING: readonly Uint8Array[] = [];

/** What a track's blocks have been so far. */
interface Lane extends CountedTrack {
  readonly isPicture: boolean;
  readonly readPicture: PictureReader | undefined;
  hasKeyframe: boolean;
  /** How often bytes had been left out at its last keyframe: with more, pictures may need them. */
  lossesAtKey: number;
  /** A laced block whose frames' length only the next block tells. */
  lace: WaitingLace | undefined;
  /** How long frames of the last such block were. */
  laceStepTicks: number | undefined;
  /** Frames of VP9 that are not shown, before the one that is: MP4 has them in one packet. */
  hidden: { readonly frames: Uint8Array[]; readonly isKey: boolean } | undefined;
}

/** A packet on its way. */
interface Frame {
  readonly bytes: Uint8Array;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** Media time. */
  readonly ticks: number;
  readonly durationMs: number | undefined;
  readonly flags: number;
  readonly group: BlockGroup | undefined;
  /** Where in `bytes` the time of its own block is; undefined when it has none, or shares it. */
  readonly timeAt: number | undefined;
}

/**
 * The blocks of a stream on their way to a decoder: each is counted, and passed on as a block of one
 * packet whose time and flags any reader takes as they are meant. Nearly all are that already, and pass
 * as they are. Of others laces are undone, times beyond the 16 bits of a block go into new Clusters,
 * and whether a decoder can begin with a picture is what its own header says. Pictures before the first
 * keyframe, with which nothing can be shown, are left out unless they are all there is.
 */
export class PassingBlocks {
  /** Bytes of blocks that were left out as unusable. */
  droppedBytes = 0;
  /** By how much all that passes is later than it is counted. */
  laterTicks = 0;
  /** By how much sound of Opus is earlier than its blocks say. */
  soundEarlierTicks = 0;
  /** Whether pictures pass before the first keyframe: a decoder may make something of them. */
  keepsLeading = false;
  tickMs = DEFAULT_TIMESTAMP_SCALE_NS / 1e6;
  readonly #options: PassingOptions;
  readonly #lanes = new Map<number, Lane>();
  /** Of the Cluster that is read; undefined until it has told. */
  #clusterTicks: number | undefined;
  readonly #times = new ClusterTimes();
  /** Of the Cluster that is written. */
  #writtenTicks = 0;
  /** Blocks of a Cluster that has not told its time. */
  #early: { readonly id: number; readonly element: Uint8Array; readonly contentAt: number }[] = [];
  #waitingBytes = 0;
  /** How often bytes were left out. */
  #losses = 0;
  #hasPassed = false;
  #pieces: Uint8Array[] = [];

  constructor(options: PassingOptions) {
    this.#options = options;
  }

  /** In the order of the header. */
  get tracks(): readonly CountedTrack[] {
    return [...this.#lanes.values()];
  }

  get hasTracks(): boolean {
    return this.#lanes.size > 0;
  }

  get numbers(): ReadonlySet<number> {
    return new Set(this.#lanes.keys());
  }

  /** Time of the Cluster that is read; undefined until it has told. */
  get clusterTicks(): number | undefined {
    return this.#clusterTicks;
  }

  /** Gives whether it was not known. */
  addTrack(track: MatroskaTrack): boolean {
    if (this.#lanes.has(track.number)) return false;
    this.#lanes.set(track.number, {
      track,
      isOpus: track.codecId === "A_OPUS" && !track.encoded,
      packets: new PacketCounter(track.kind === "audio" ? "audio" : "video"),
      isPicture: track.kind === "video",
      readPicture: pictureReaderOf(track),
      hasKeyframe: false,
      lossesAtKey: 0,
      lace: undefined,
      laceStepTicks: undefined,
      hidden: undefined,
    });
    return true;
  }

  /** The time of the Cluster that begins is not known yet. */
  beginCluster(): void {
    for (const { element } of this.#early.splice(0)) this.#leaveOut(element.length);
    this.#clusterTicks = undefined;
    this.#times.begin();
  }

  /** The Cluster's Timestamp, which is passed on later by `laterTicks`. Gives the blocks before it. */
  timestamp(ticks: number): readonly Uint8Array[] {
    this.#clusterTicks = ticks;
    this.#writtenTicks = ticks + this.laterTicks;
    if (this.#early.length === 0) return NOTHING;
    return this.#early.splice(0).flatMap(({ id, element, contentAt }) => {
      this.#waitingBytes -= element.length;
      return this.take(id, element, 0, contentAt, element.length) ?? [element];
    });
  }

  /** Bytes are missing: pictures up to the next keyframe may need them. */
  losePictures(): void {
    this.#losses += 1;
  }

  /** Gives what waits for more that will not come. */
  flush(): Uint8Array[] {
    for (const { element } of this.#early.splice(0)) this.#leaveOut(element.length);
    for (const lane of this.#lanes.values()) {
      this.#settleLace(lane, undefined);
      lane.hidden = undefined;
    }
    this.#waitingBytes = 0;
    return this.#pieces.splice(0);
  }

  /** What a block tells before it is taken; undefined when it is none of a known track. */
  headOf(id: number, bytes: Uint8Array, from: number, to: number): BlockTold | undefined {
    const group = id === ID.blockGroup ? groupOf(bytes.subarray(from, to)) : undefined;
    const block = id === ID.blockGroup ? group?.block : bytes.subarray(from, to);
    const number = block && readVint(block, 0);
    const lane = number && this.#lanes.get(number.value);
    if (block === undefined || number === undefined || lane === undefined) return undefined;
    const flags = block[number.length + 2] ?? 0;
    const dataAt = number.length + 3;
    const isLaced = (flags & LACING_MASK) !== 0;
    const places = isLaced
      ? (lacedFrames(block, flags, dataAt, block.length) ?? [])
      : [{ from: dataAt, to: block.length }];
    const durations = this.#durationsOf(lane, block, places, group);
    return {
      number: number.value,
      relativeTicks: readInt16(block, number.length),
      durationMs: durations?.reduce((sum, ms) => sum + ms, 0),
    };
  }

  /**
   * Takes a SimpleBlock or a BlockGroup. Gives what is passed on for it; undefined when that is itself.
   *
   * @param elementFrom where the element begins
   * @param from where its content begins
   * @param to exclusive
   */
  take(
    id: number,
    bytes: Uint8Array,
    elementFrom: number,
    from: number,
    to: number,
  ): readonly Uint8Array[] | undefined {
    if (this.#clusterTicks === undefined) {
      this.#wait(id, bytes.subarray(elementFrom, to), from - elementFrom);
      return NOTHING;
    }
    let isAsItIs = false;
    if (id === ID.simpleBlock) {
      isAsItIs = this.#takeBlock(bytes, from, to, this.#clusterTicks, undefined);
    } else {
      const group = groupOf(bytes.subarray(from, to));
      const { block } = group;
      isAsItIs =
        block !== undefined && this.#takeBlock(block, 0, block.length, this.#clusterTicks, group);
    }
    if (this.#pieces.length === 0) return isAsItIs ? undefined : NOTHING;
    if (isAsItIs) this.#pieces.push(bytes.subarray(elementFrom, to));
    return this.#pieces.splice(0);
  }

  #wait(id: number, element: Uint8Array, contentAt: number): void {
    const isFull = this.#early.length >= EARLY_BLOCKS_MAX;
    if (isFull || this.#waitingBytes + element.length > WAITING_BYTES_MAX) {
      this.droppedBytes += element.length;
      return;
    }
    this.#waitingBytes += element.length;
    this.#early.push({ id, element: new Uint8Array(element), contentAt });
  }

  #leaveOut(waitingBytes: number): void {
    this.#waitingBytes -= waitingBytes;
    this.droppedBytes += waitingBytes;
  }

  /** Gives whether the block is passed on as it is; what is passed on else is in `#pieces`. */
  #takeBlock(
    bytes: Uint8Array,
    from: number,
    to: number,
    clusterTicks: number,
    group: BlockGroup | undefined,
  ): boolean {
    const first = bytes[from] ?? 0;
    const number = first >= 0x80 ? { value: first & 0x7f, length: 1 } : readVint(bytes, from);
    const timeAt = from + (number?.length ?? 0);
    const lane = number === undefined ? undefined : this.#lanes.get(number.value);
    const dataAt = timeAt + 3;
    if (lane === undefined || dataAt > to) {
      this.droppedBytes += to - from;
      return false;
    }
    const relativeTicks = readInt16(bytes, timeAt);
    const ticks = clusterTicks + this.#times.unwrapped(lane.track.number, relativeTicks);
    const flags = bytes[timeAt + 2] ?? 0;
    if (lane.lace !== undefined) this.#settleLace(lane, ticks);
    if ((flags & LACING_MASK) !== 0) {
      this.#takeLace(lane, bytes, dataAt, to, { ticks, flags, group });
      return false;
    }
    const opusMs = lane.isOpus ? opusPacketMs(bytes, dataAt, to) : undefined;
    const groupMs = group?.durationTicks && group.durationTicks * this.tickMs;
    const durationMs = opusMs ?? groupMs ?? lane.track.frameMs;
    return this.#pass(lane, { bytes, from: dataAt, to, ticks, durationMs, flags, group, timeAt });
  }

  #takeLace(
    lane: Lane,
    bytes: Uint8Array,
    from: number,
    to: number,
    { ticks, flags, group }: Pick<Frame, "ticks" | "flags" | "group">,
  ): void {
    const places = lacedFrames(bytes, flags, from, to);
    if (places === undefined) {
      this.droppedBytes += to - from;
      return;
    }
    const { length } = places;
    const durations = this.#durationsOf(lane, bytes, places, group);
    if (durations === undefined) {
      const frames = places.map((place) => new Uint8Array(bytes.subarray(place.from, place.to)));
      lane.lace = { frames, ticks, flags, group: group && copyOf(group) };
      this.#waitingBytes += to - from;
      if (this.#waitingBytes > WAITING_BYTES_MAX) this.#settleLace(lane, undefined);
      return;
    }
    let passedMs = 0;
    for (const [i, place] of places.entries()) {
      const durationMs = durations[i] ?? 0;
      const own = frameGroup(group, i, length, Math.round(durationMs / this.tickMs));
      const atTicks = ticks + Math.round(passedMs / this.tickMs);
      const frame = { ...place, bytes, ticks: atTicks, durationMs, flags, group: own };
      this.#pass(lane, { ...frame, timeAt: undefined });
      passedMs += durationMs;
    }
  }

  /** How long each of a block's frames is, in milliseconds; undefined when nothing tells. */
  #durationsOf(
    lane: Lane,
    bytes: Uint8Array,
    places: readonly FramePlace[],
    group: BlockGroup | undefined,
  ): number[] | undefined {
    const ticks = group?.durationTicks;
    const groupMs = ticks && (ticks * this.tickMs) / places.length;
    const durations: number[] = [];
    for (const { from, to } of places) {
      const opusMs = lane.isOpus ? opusPacketMs(bytes, from, to) : undefined;
      const durationMs = opusMs ?? lane.track.frameMs ?? groupMs;
      if (durationMs === undefined) return undefined;
      durations.push(durationMs);
    }
    return durations;
  }

  /** @param nextTicks when the block behind the lace begins; undefined when there is none */
  #settleLace(lane: Lane, nextTicks: number | undefined): void {
    const { lace } = lane;
    if (lace === undefined) return;
    lane.lace = undefined;
    const { frames, ticks, flags, group } = lace;
    this.#waitingBytes -= frames.reduce((sum, { length }) => sum + length, 0);
    const known = lane.laceStepTicks;
    const told = nextTicks === undefined ? undefined : (nextTicks - ticks) / frames.length;
    const max = known === undefined ? LACED_FRAME_MS_MAX / this.tickMs : known * 2;
    const isBelieved = told !== undefined && told > 0 && told <= max;
    const step = isBelieved ? told : (known ?? 0);
    if (isBelieved) lane.laceStepTicks = told;
    for (const [i, bytes] of frames.entries()) {
      const own = frameGroup(group, i, frames.length, Math.round(step));
      const at = { ticks: ticks + Math.round(i * step), durationMs: undefined, timeAt: undefined };
      this.#pass(lane, { bytes, from: 0, to: bytes.length, ...at, flags, group: own });
    }
  }

  /** Counts a packet. Gives whether its own block is passed on as it is. */
  #pass(lane: Lane, frame: Frame): boolean {
    const { bytes, from, to, flags } = frame;
    // No decoder is given a packet of no bytes, nor can MP4 hold one.
    if (from >= to) return false;
    const picture = lane.readPicture?.(bytes, from, to);
    const claimsKey = frame.group?.isKey ?? (flags & BLOCK_FLAG.key) !== 0;
    const isKey = picture?.isKey ?? claimsKey;
    const isVisible = picture?.isVisible ?? (flags & BLOCK_FLAG.invisible) === 0;
    if (picture?.size !== undefined) lane.packets.sees(picture.size);
    if (lane.isPicture && !this.#isOfUse(lane, frame.ticks, isKey)) return false;
    const isHidden = !isVisible && picture !== undefined && lane.track.codecId === "V_VP9";
    if (isHidden && this.#hide(lane, bytes.subarray(from, to), isKey)) return false;
    if (lane.hidden !== undefined) {
      const whole = this.#withHidden(lane, frame, isKey);
      return this.#write(lane, whole.frame, { isKey: whole.isKey, isVisible, claimsKey });
    }
    return this.#write(lane, frame, { isKey, isVisible, claimsKey });
  }

  /** Whether something can be shown of a picture: not before the first keyframe. */
  #isOfUse(lane: Lane, ticks: number, isKey: boolean): boolean {
    if (isKey) {
      lane.lossesAtKey = this.#losses;
      if (!lane.hasKeyframe) {
        const beginsMs = this.tracks.map(({ packets }) => packets.firstMs ?? Infinity);
        lane.packets.endLeading(this.#msOf(lane, ticks), Math.min(...beginsMs));
      }
      lane.hasKeyframe = true;
      return true;
    }
    if (lane.hasKeyframe || this.keepsLeading) return true;
    lane.packets.addLeading(this.#msOf(lane, ticks));
    return false;
  }

  #msOf({ track }: Lane, ticks: number): number {
    return ticks * this.tickMs - track.codecDelayMs;
  }

  /** Gives whether the frame waits for the one that is shown. */
  #hide(lane: Lane, frame: Uint8Array, isKey: boolean): boolean {
    const { frames, isKey: isFirstKey } = lane.hidden ?? { frames: [], isKey };
    const isFull = frames.length + 1 >= SUPERFRAME_FRAMES_MAX;
    if (isFull || this.#waitingBytes + frame.length > WAITING_BYTES_MAX) return false;
    this.#waitingBytes += frame.length;
    frames.push(new Uint8Array(frame));
    lane.hidden = { frames, isKey: isFirstKey };
    return true;
  }

  #withHidden(lane: Lane, frame: Frame, isKey: boolean): { frame: Frame; isKey: boolean } {
    const { frames, isKey: isFirstKey } = lane.hidden ?? { frames: [], isKey };
    lane.hidden = undefined;
    this.#waitingBytes -= frames.reduce((sum, { length }) => sum + length, 0);
    const { bytes, from, to } = frame;
    const own = vp9Frames(bytes, from, to).map((place) => bytes.subarray(place.from, place.to));
    const all = [...frames, ...own];
    if (all.length > SUPERFRAME_FRAMES_MAX) {
      this.droppedBytes += frames.reduce((sum, { length }) => sum + length, 0);
      return { frame, isKey };
    }
    const whole = vp9Superframe(all);
    const rebuilt = { ...frame, bytes: whole, from: 0, to: whole.length, timeAt: undefined };
    return { frame: rebuilt, isKey: isFirstKey };
  }

  #write(
    lane: Lane,
    frame: Frame,
    told: { readonly isKey: boolean; readonly isVisible: boolean; readonly claimsKey: boolean },
  ): boolean {
    const { bytes, from, to, durationMs, timeAt } = frame;
    const { isKey, isVisible, claimsKey } = told;
    const earlierTicks = lane.isOpus ? this.soundEarlierTicks : 0;
    if (frame.ticks < 0 && !this.#hasPassed) {
      // No time of Matroska that is before its zero is taken by all: all are later alike.
      this.laterTicks -= RELATIVE_TICKS.min;
    }
    this.#hasPassed = true;
    const outTicks = Math.max(0, frame.ticks - earlierTicks + this.laterTicks);
    lane.packets.add({
      atMs: this.#msOf(lane, outTicks - this.laterTicks),
      durationMs,
      packets: 1,
      // Of encoded blocks the frames' own size is not worked out.
      bytes: lane.track.encoded ? undefined : to - from,
      isVisible,
      needsLost: lane.isPicture && lane.lossesAtKey !== this.#losses,
    });
    this.#options.onBlock?.({
      track: lane.track,
      atMs: frame.ticks * this.tickMs,
      durationMs,
      isKey,
      data: bytes.subarray(from, to),
    });
    // A time that no clock can tell is passed on as it is.
    if (!Number.isSafeInteger(outTicks)) return timeAt !== undefined;
    let relativeTicks = outTicks - this.#writtenTicks;
    if (relativeTicks < RELATIVE_TICKS.min || relativeTicks > RELATIVE_TICKS.max) {
      this.#pieces.push(UNSIZED_CLUSTER, timestampElement(outTicks));
      this.#writtenTicks = outTicks;
      relativeTicks = 0;
    }
    if (timeAt !== undefined && (isKey === claimsKey || frame.group === undefined)) {
      const isRight = relativeTicks === readInt16(bytes, timeAt) && isKey === claimsKey;
      if (isRight) return true;
      if (this.#options.mayChange) {
        bytes[timeAt] = (relativeTicks >> 8) & 0xff;
        bytes[timeAt + 1] = relativeTicks & 0xff;
        if (isKey !== claimsKey) bytes[timeAt + 2] = frame.flags ^ BLOCK_FLAG.key;
        return true;
      }
    }
    const { flags, group } = frame;
    const data = bytes.subarray(from, to);
    const { number: track } = lane.track;
    this.#pieces.push(...blockElement({ track, relativeTicks, isKey, flags, group, data }));
    return false;
  }
}
