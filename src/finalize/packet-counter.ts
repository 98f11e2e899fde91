import type { StreamKind } from "../contract/marks.ts";
import type { PictureSize } from "./coded-picture.ts";
import { SoundDeficit } from "./sound-deficit.ts";
import type { Hole } from "./source-stream.ts";

/** A block as it passes: usually one packet. */
export interface CountedBlock {
  readonly atMs: number;
  /** As the packet itself or its container tells; undefined when neither does. */
  readonly durationMs: number | undefined;
  readonly packets: number;
  /** Bytes of its frames; undefined when they are not known. */
  readonly bytes: number | undefined;
  /** A picture that is shown; others only serve to decode later ones. */
  readonly isVisible: boolean;
  /** A picture that lost ones may be needed for: what a decoder makes of it is nothing to rely on. */
  readonly needsLost?: boolean;
}

/** Most holes that are kept of a stream; one every 3 s of an 8-hour call. */
export const HOLES_MAX = 10_000;

/**
 * From how far on two packets leave a hole. Sound has no pauses of its own, so there it is silence
 * between them; pictures come when they come, so there it is the step from one to the next.
 */
const HOLE_MS: Readonly<Record<StreamKind, number>> = { audio: 100, video: 500 };

/**
 * No packet of sound is longer: Opus ends at 120 ms (RFC 6716, 3.2.5), AAC at 128 ms with 8 kHz. MP4
 * has no holes: in it, the last sample before one is stretched over it.
 */
const PACKET_MS_MAX: Readonly<Record<StreamKind, number>> = { audio: 130, video: 500 };

/** So many recent packets tell what a usual step is; a power of 2. */
const RECENT_PACKETS = 16;

/** Packets that come after one that is presented later; codecs allow 16 at most (H.264, A.3.1). */
const REORDERED_HOLES_MAX = 16;

/** Counts the packets of one stream, and finds where some are missing. */
export class PacketCounter {
  packets = 0;
  visiblePackets = 0;
  /** Sum of all frames; undefined as soon as the size of one is not known. */
  bytes: number | undefined = 0;
  firstMs: number | undefined;
  lastMs: number | undefined;
  /** See `StreamCount`. */
  furthestBackMs = 0;
  readonly holes: Hole[] = [];
  /** See `StreamCount`. */
  picture: PictureSize | undefined;
  /** See `StreamCount`. */
  leading: Hole | undefined;
  /** Of the first picture that was left out before the first keyframe. */
  #leadingMs: number | undefined;
  readonly #kind: StreamKind;
  /** Of sound. */
  readonly #deficit = new SoundDeficit();
  /** Of the packet at `lastMs`. */
  #lastDurationMs: number | undefined;
  /** When the last packets are presented, in a ring: tells what a usual step is. */
  readonly #recentMs = new Float64Array(RECENT_PACKETS);
  #recent = 0;
  /**
   * Where the packets ended before those that need lost ones, and where these began; undefined when the
   * last did not.
   */
  #lost: { readonly fromMs: number; resumesMs: number } | undefined;

  constructor(kind: StreamKind) {
    this.#kind = kind;
  }

  /** End of the last packet in order of presentation; undefined when there is no packet. */
  get endMs(): number | undefined {
    if (this.lastMs === undefined) return undefined;
    return this.lastMs + (this.#lastDurationMs ?? this.#usualStepMs());
  }

  /** See `StreamCount`. */
  get deficitMs(): number {
    return this.#deficit.steadyMs;
  }

  /** See `StreamCount`. */
  get packetMs(): number | undefined {
    return this.#deficit.packetMs;
  }

  add(block: CountedBlock): void {
    const { atMs, durationMs } = block;
    if (this.#kind === "audio")
      this.#deficit.add(atMs, block.packets === 1 ? durationMs : undefined);
    this.packets += block.packets;
    if (block.isVisible) this.visiblePackets += block.packets;
    this.bytes =
      this.bytes === undefined || block.bytes === undefined ? undefined : this.bytes + block.bytes;
    this.#recentMs[this.#recent & (RECENT_PACKETS - 1)] = atMs;
    this.#recent += 1;
    if (block.needsLost === true) {
      this.#lost ??= { fromMs: this.endMs ?? atMs, resumesMs: atMs };
      this.#lost.resumesMs = Math.min(this.#lost.resumesMs, atMs);
    } else {
      this.#endLost(atMs);
    }
    this.#place(atMs, durationMs);
  }

  /** A keyframe has this size. */
  sees(size: PictureSize): void {
    const { width, height } = this.picture ?? { width: 0, height: 0 };
    if (size.width * size.height > width * height) this.picture = size;
  }

  /** A picture before the first keyframe is left out, and is not counted. */
  addLeading(atMs: number): void {
    this.#leadingMs = Math.min(this.#leadingMs ?? Infinity, atMs);
  }

  /**
   * The first keyframe has come.
   *
   * @param beginMs of the segment, as far as other streams have told
   */
  endLeading(keyMs: number, beginMs: number): void {
    const resumesMs = this.#leadingMs;
    if (resumesMs === undefined || resumesMs >= keyMs) return;
    this.leading = { fromMs: Math.min(beginMs, resumesMs), toMs: keyMs, resumesMs };
  }

  /** No packet comes any more. */
  end(): void {
    this.#endLost(this.endMs ?? 0);
  }

  /** Pictures that are of no use are a hole, though they are counted and passed on. */
  #endLost(toMs: number): void {
    if (this.#lost === undefined) return;
    const { fromMs, resumesMs } = this.#lost;
    this.#lost = undefined;
    if (toMs <= fromMs || this.holes.length >= HOLES_MAX) return;
    // Within it lies the hole that the lost ones left.
    while ((this.holes.at(-1)?.fromMs ?? -Infinity) >= fromMs) this.holes.pop();
    this.holes.push({ fromMs, toMs, resumesMs: Math.max(fromMs, resumesMs) });
  }

  #place(atMs: number, durationMs: number | undefined): void {
    if (this.lastMs === undefined || this.firstMs === undefined) {
      this.firstMs = atMs;
      this.lastMs = atMs;
      this.#lastDurationMs = durationMs;
    } else if (atMs >= this.lastMs) {
      if (atMs - this.lastMs > HOLE_MS[this.#kind]) this.#addHole(this.lastMs, atMs);
      this.lastMs = atMs;
      this.#lastDurationMs = durationMs;
    } else {
      this.furthestBackMs = Math.max(this.furthestBackMs, this.lastMs - atMs);
      if (atMs < this.firstMs) this.firstMs = atMs;
      if (this.holes.length > 0) this.#fillHole(atMs, durationMs);
    }
  }

  #addHole(beforeMs: number, toMs: number): void {
    const fromMs = Math.min(beforeMs + this.#packetMs(this.#lastDurationMs), toMs);
    if (this.#kind === "audio" && toMs - fromMs <= HOLE_MS.audio) return;
    if (this.holes.length < HOLES_MAX) this.holes.push({ fromMs, toMs });
  }

  /** A packet that is presented before one that came already: it may lie in what seemed a hole. */
  #fillHole(atMs: number, durationMs: number | undefined): void {
    const oldest = Math.max(0, this.holes.length - REORDERED_HOLES_MAX);
    for (let i = this.holes.length - 1; i >= oldest; i -= 1) {
      const { fromMs, toMs } = this.holes[i] ?? { fromMs: Infinity, toMs: Infinity };
      if (atMs < fromMs) continue;
      if (atMs >= toMs) return;
      const pieces = [
        { fromMs, toMs: atMs },
        { fromMs: atMs + this.#packetMs(durationMs), toMs },
      ];
      const isHole = (piece: Hole): boolean => piece.toMs - piece.fromMs > HOLE_MS[this.#kind];
      this.holes.splice(i, 1, ...pieces.filter(isHole));
      if (this.holes.length > HOLES_MAX) this.holes.pop();
      return;
    }
  }

  #packetMs(durationMs: number | undefined): number {
    const isBelieved = durationMs !== undefined && durationMs <= PACKET_MS_MAX[this.#kind];
    return isBelieved ? durationMs : this.#usualStepMs();
  }

  /** Median of the steps between the last packets that leave no hole; 0 when there is none. */
  #usualStepMs(): number {
    const times = this.#recentMs.subarray(0, this.#recent).toSorted();
    const steps: number[] = [];
    for (let i = 1; i < times.length; i += 1) {
      const stepMs = (times[i] ?? 0) - (times[i - 1] ?? 0);
      if (stepMs > 0 && stepMs <= PACKET_MS_MAX[this.#kind]) steps.push(stepMs);
    }
    steps.sort((a, b) => a - b);
    return steps[Math.floor(steps.length / 2)] ?? 0;
  }
}
