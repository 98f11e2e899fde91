import { setImmediate } from "node:timers/promises";
import {
  type SampleTable,
  type SampleTables,
  decodedMs,
  presentedMs,
} from "./mp4-sample-tables.ts";
import { type Silence, channelsOf, silenceOf } from "./silence.ts";
import { SOUND_DEFICIT_MS_MAX, STEADY_PACKETS } from "./sound-deficit.ts";
import type { SilentPacket } from "./silent-packets.ts";
import { GAP_MS_MAX } from "./timeline-places.ts";
import { videoTicksPerSecond } from "./mp4-track-tables.ts";
import { type Insertion, type MediaPlace, TimelineTrack } from "./timeline-track.ts";

/** A segment's MP4 with its place in the track. */
export interface TimelinePart {
  readonly tables: SampleTables;
  /** Milliseconds of the track for those of the MP4; ascends. */
  readonly toTrackMs: (mp4Ms: number) => number;
  /** Parameter sets to be put in, by the index of the picture that needs them. */
  readonly parameterSets: ReadonlyMap<number, Insertion>;
  /** How long each packet of its sound is; undefined when that is not one length, or not known. */
  readonly soundPacketMs?: number | undefined;
}

/** What is to be found in the new MP4. */
export interface TimelineSummary {
  readonly tracks: readonly Pick<TimelineTrack, "kind" | "parts" | "silences">[];
  /** Of sound, that were put in. */
  readonly silentPackets: number;
  /** How long most packets of sound are in the part in which they are the longest. */
  readonly soundPacketMs: number;
  /** Holes are left in the times of the sound: no silent packets are known for it. */
  readonly leavesHoles: boolean;
}

/** The tracks of the new MP4, and what they have that the parts have not. */
export interface TimelineTracks extends TimelineSummary {
  readonly tracks: readonly TimelineTrack[];
  readonly insertions: readonly Insertion[];
}

/** What is still needed once the file is written; the tables take much memory. */
export function summaryOf(timeline: TimelineTracks): TimelineSummary {
  const { silentPackets, soundPacketMs, leavesHoles } = timeline;
  const tracks = timeline.tracks.map(({ kind, parts, silences }) => ({ kind, parts, silences }));
  return { tracks, silentPackets, soundPacketMs, leavesHoles };
}

/** In sound, a gap within a segment that is longer is a hole; shorter ones are noise of its clock. */
export const SOUND_HOLE_MS = 100;

/** The most silence that is put into a track: as long as the longest gap that is kept. */
const SILENCE_S_MAX = GAP_MS_MAX / 1_000;

/** A change of the distance between two clocks that is more than rounding. */
const JUMP_MS = 0.5;

/** Silence goes into the file in pieces of this length, so that it stands beside its pictures. */
const SILENCE_PIECE_S = 1;

/** So many samples are placed at a stretch, in some 30 ms. */
const SAMPLES_PER_TURN = 32_768;

/** So often at least a place for silence is noted. */
const ANCHOR_MS = 1_000;

/** A place between samples, and the time of the picture behind it. */
interface Anchor extends MediaPlace {
  readonly atMs: number;
}

/**
 * Puts the samples of all parts on the track's time. A picture lasts until the next one, over a gap
 * too. Holes in the sound are filled with silent packets, since players play the sound of an MP4 by
 * counting samples: where one segment follows another, where the recorder paused, where more than
 * `SOUND_HOLE_MS` is missing, and where less is, together and for good (`SoundDeficit`). Touches
 * nothing else; lets others have their turn, since hours have millions of samples, and a few bytes can
 * claim that hours are missing between them.
 */
export async function timelineTracks(parts: readonly TimelinePart[]): Promise<TimelineTracks> {
  const insertions: Insertion[] = parts.flatMap(({ parameterSets }) => [...parameterSets.values()]);
  const anchors: Anchor[] = [];
  const video = await videoTrack(parts, anchors);
  const sound = new SoundBuilder(parts, anchors, insertions);
  const audio = await sound.build();
  return {
    tracks: [video, audio].filter((track) => track !== undefined),
    insertions,
    silentPackets: sound.silentPackets,
    soundPacketMs: Math.max(0, ...parts.map(({ tables }) => usualMs(tables.audio))),
    leavesHoles: sound.leavesHoles,
  };
}

function usualMs(table: SampleTable | undefined): number {
  return table === undefined ? 0 : (table.usualTicks / table.ticksPerSecond) * 1_000;
}

async function videoTrack(
  parts: readonly TimelinePart[],
  anchors: Anchor[],
): Promise<TimelineTrack | undefined> {
  const entries = new EntryList();
  const used = parts.map(({ tables }) => entries.indexOf(tables.video));
  if (entries.list.length === 0) return undefined;
  const ticksPerSecond = videoTicksPerSecond(picturesEndMs(parts));
  // Segments that are turned otherwise were made alike (`joinTargets`).
  const matrix = parts.find(({ tables }) => tables.video !== undefined)?.tables.video?.matrix;
  const track = new TimelineTrack("video", ticksPerSecond, entries.list, matrix);
  let [lastSampleTicks, shownToTicks] = [0, 0];
  for (const [part, { tables, toTrackMs, parameterSets }] of parts.entries()) {
    const table = tables.video;
    if (table === undefined || table.count === 0) continue;
    const laterMs = firstPresentedMs(table) - decodedMs(table, 0);
    const toTicks = (mp4Ms: number): number =>
      Math.round((toTrackMs(mp4Ms) * ticksPerSecond) / 1_000);
    const first = track.samples;
    let contiguousAt = -1;
    let anchoredMs = -Infinity;
    let lastMs = -Infinity;
    for (let i = 0; i < table.count; i += 1) {
      // A segment's first picture is decoded when it is presented: ahead of that, the segment before
      // may still have its last one, and programs that ignore edit lists would show all too early.
      const atMs = decodedMs(table, i) + laterMs;
      const earliestTicks = track.samples === 0 ? -Infinity : track.lastTicks + 1;
      const decodeTicks = Math.max(toTicks(atMs), earliestTicks);
      const atBytes = table.offsetsBytes[i] ?? 0;
      const isAnchor = atMs - anchoredMs >= ANCHOR_MS;
      if (isAnchor || atBytes !== contiguousAt || track.isChunkFull(decodeTicks)) {
        track.beginChunkFrom(part, atBytes, used[part] ?? 0, decodeTicks);
      }
      if (isAnchor) {
        anchors.push({ part, atBytes, atMs: toTrackMs(atMs) });
        anchoredMs = atMs;
      }
      const bytes = table.sizes[i] ?? 0;
      contiguousAt = atBytes + bytes;
      const shownMs = presentedMs(table, i);
      lastMs = Math.max(lastMs, shownMs);
      track.add(
        decodeTicks,
        toTicks(shownMs) - decodeTicks,
        bytes + (parameterSets.get(i)?.bytes.length ?? 0),
        table.isSync?.[i] !== 0,
      );
      if (i % SAMPLES_PER_TURN === 0) await setImmediate();
    }
    track.parts.push({ part, first, last: track.samples - 1 });
    const endMs = decodedMs(table, table.count) + laterMs;
    lastSampleTicks = Math.max(1, toTicks(endMs) - track.lastTicks);
    shownToTicks = Math.max(toTicks(endMs), toTicks(lastMs) + 1);
  }
  track.end(Math.max(1, lastSampleTicks), shownToTicks);
  return track;
}

function firstPresentedMs(table: SampleTable): number {
  if (table.compositionTicks === undefined) return presentedMs(table, 0);
  let firstMs = Infinity;
  for (let i = 0; i < table.count; i += 1) firstMs = Math.min(firstMs, presentedMs(table, i));
  return firstMs;
}

/** Where the last picture ends. */
function picturesEndMs(parts: readonly TimelinePart[]): number {
  let endMs = 0;
  for (const { tables, toTrackMs } of parts) {
    const { video } = tables;
    if (video !== undefined) endMs = Math.max(endMs, toTrackMs(decodedMs(video, video.count)));
  }
  return endMs;
}

/** The different descriptions of samples; what only tells the bit rate does not count. */
class EntryList {
  readonly list: Buffer[] = [];

  /** Index of the table's description; it is added when it is new. -1 without a table. */
  indexOf(table: SampleTable | undefined): number {
    const [entry] = table?.entries ?? [];
    if (entry === undefined) return -1;
    const plain = withoutBitRate(entry);
    const known = this.list.findIndex((other) => other.equals(plain));
    if (known !== -1) return known;
    this.list.push(plain);
    return this.list.length - 1;
  }
}

/** Fields of a VisualSampleEntry before its boxes, with its header (ISO/IEC 14496-12, 12.1.3). */
const VIDEO_ENTRY_BYTES = 86;

/** The entry without its `btrt`, which differs between segments that are alike. */
function withoutBitRate(entry: Buffer): Buffer {
  const pieces = [entry.subarray(0, VIDEO_ENTRY_BYTES)];
  for (let at = VIDEO_ENTRY_BYTES; at + 8 <= entry.length;) {
    const bytes = entry.readUInt32BE(at);
    if (bytes < 8 || at + bytes > entry.length) break;
    if (entry.toString("latin1", at + 4, at + 8) !== "btrt") {
      pieces.push(entry.subarray(at, at + bytes));
    }
    at += bytes;
  }
  const plain = Buffer.concat(pieces);
  plain.writeUInt32BE(plain.length, 0);
  return plain;
}

/** Builds the track of sound. */
class SoundBuilder {
  silentPackets = 0;
  leavesHoles = false;
  readonly #parts: readonly TimelinePart[];
  readonly #anchors: readonly Anchor[];
  readonly #insertions: Insertion[];
  readonly #track: TimelineTrack | undefined;
  readonly #silence: Silence | undefined;
  #silenceLeftTicks: number;
  /** Where the sound up to now ends. */
  #endTicks = 0;
  /** By how much the silence up to now is too short for the gaps that it fills. */
  #owedTicks = 0;
  #nextAnchor = 0;
  /** Silent packets that are still placed before others have their turn. */
  #untilTurn = SAMPLES_PER_TURN;
  /** The piece that was put in last: hours of silence are the same bytes over and over. */
  #piece: { readonly packet: SilentPacket; readonly bytes: Uint8Array } | undefined;

  constructor(parts: readonly TimelinePart[], anchors: readonly Anchor[], insertions: Insertion[]) {
    this.#parts = parts;
    this.#anchors = anchors;
    this.#insertions = insertions;
    // The packets of Opus say themselves how many channels they have; the most are to be heard.
    const [table] = parts
      .flatMap(({ tables }) => tables.audio ?? [])
      .toSorted((a, b) => channels(b) - channels(a));
    const entry = table?.entries[0];
    if (table !== undefined && entry !== undefined) {
      this.#track = new TimelineTrack("audio", table.ticksPerSecond, [entry]);
      this.#silence = silenceOf(entry, table.ticksPerSecond);
    }
    this.#silenceLeftTicks = SILENCE_S_MAX * (table?.ticksPerSecond ?? 0);
  }

  async build(): Promise<TimelineTrack | undefined> {
    const track = this.#track;
    if (track === undefined) return undefined;
    for (const [part, { tables }] of this.#parts.entries()) {
      if (tables.audio !== undefined && tables.audio.count > 0) {
        await this.#addPart(track, part, tables.audio);
      }
    }
    track.end(Math.max(1, this.#endTicks - track.lastTicks));
    return track;
  }

  async #addPart(track: TimelineTrack, part: number, table: SampleTable): Promise<void> {
    const { toTrackMs = (ms: number) => ms, soundPacketMs } = this.#parts[part] ?? {};
    const evenTicks =
      soundPacketMs === undefined
        ? undefined
        : Math.round((soundPacketMs * track.ticksPerSecond) / 1_000);
    const holeTicks = (SOUND_HOLE_MS * track.ticksPerSecond) / 1_000;
    const surplusTicksMax = (SOUND_DEFICIT_MS_MAX * track.ticksPerSecond) / 1_000;
    let contiguousAt = -1;
    let distanceMs = Number.NaN;
    let first = track.samples;
    const skipped = this.#unheardPriming(track, table, toTrackMs);
    for (let i = skipped; i < table.count; i += 1) {
      const mp4Ms = presentedMs(table, i);
      const atMs = toTrackMs(mp4Ms);
      const atTicks = Math.round((atMs * track.ticksPerSecond) / 1_000);
      const atBytes = table.offsetsBytes[i] ?? 0;
      const hasJumped = !(Math.abs(atMs - mp4Ms - distanceMs) < JUMP_MS);
      distanceMs = atMs - mp4Ms;
      const isAfterGap = hasJumped && track.samples > 0;
      const gapTicks = atTicks - this.#endTicks;
      if (isAfterGap || gapTicks > holeTicks) {
        if (await this.#fill(track, gapTicks, atTicks, { part, atBytes })) contiguousAt = -1;
      } else if (evenTicks !== undefined && i > skipped) {
        // Sound that is too long cannot be made shorter: it is not saved up for the next gap either.
        this.#owedTicks = Math.max(this.#owedTicks + gapTicks, -surplusTicksMax);
        const missingTicks = this.#steadyDeficit(track, table, i, toTrackMs, evenTicks);
        if (missingTicks > 0 && this.#silence !== undefined) {
          const noiseTicks = this.#owedTicks - missingTicks;
          this.#owedTicks = 0;
          if (await this.#fill(track, missingTicks, atTicks, { part, atBytes })) contiguousAt = -1;
          this.#owedTicks += noiseTicks;
        }
      }
      if (i === skipped) first = track.samples;
      if (track.samples === 0 && table.shownFromMs !== undefined && mp4Ms < table.shownFromMs) {
        const heardMs = toTrackMs(table.shownFromMs);
        track.shownFromTicks = Math.round((heardMs * track.ticksPerSecond) / 1_000);
      }
      if (atBytes !== contiguousAt || track.isChunkFull(atTicks)) {
        track.beginChunkFrom(part, atBytes, 0, atTicks);
      }
      const sizeBytes = table.sizes[i] ?? 0;
      contiguousAt = atBytes + sizeBytes;
      track.add(atTicks, 0, sizeBytes, true);
      if (i % SAMPLES_PER_TURN === 0) await setImmediate();
      this.#endTicks =
        evenTicks === undefined
          ? track.lastTicks + this.#packetTicks(track, table, i)
          : atTicks + evenTicks;
    }
    const bytes = table.sizes.subarray(0, skipped).reduce((sum, size) => sum + size, 0);
    const durationMs = presentedMs(table, skipped) - presentedMs(table, 0);
    const leftOut = skipped > 0 ? { leftOut: { packets: skipped, bytes, durationMs } } : {};
    track.parts.push({ part, first, last: track.samples - 1, ...leftOut });
  }

  /**
   * How many packets at the begin of a part are not heard, and would be heard in the middle of a track:
   * all but the last of them, on which a decoder warms up, and that one too where the sound before still
   * is. What comes behind keeps its time.
   */
  #unheardPriming(
    track: TimelineTrack,
    table: SampleTable,
    toTrackMs: (mp4Ms: number) => number,
  ): number {
    const { shownFromMs } = table;
    if (shownFromMs === undefined || track.samples === 0) return 0;
    const endMs = (this.#endTicks / track.ticksPerSecond) * 1_000;
    const isHidden = (i: number): boolean =>
      i + 1 < table.count && presentedMs(table, i + 1) <= shownFromMs + JUMP_MS;
    let packets = 0;
    while (
      isHidden(packets) &&
      (isHidden(packets + 1) || toTrackMs(presentedMs(table, packets)) < endMs - JUMP_MS)
    ) {
      packets += 1;
    }
    return packets;
  }

  /**
   * By how much the sound up to packet `i` is too short for its time, as those from there on tell alike;
   * 0 while that is little. What the packets owe is noise as long as it passes.
   */
  #steadyDeficit(
    track: TimelineTrack,
    table: SampleTable,
    i: number,
    toTrackMs: (mp4Ms: number) => number,
    packetTicks: number,
  ): number {
    const mostTicks = (SOUND_DEFICIT_MS_MAX * track.ticksPerSecond) / 1_000;
    if (this.#owedTicks <= mostTicks) return 0;
    const ticksOf = (k: number): number =>
      (toTrackMs(presentedMs(table, k)) * track.ticksPerSecond) / 1_000;
    let leastTicks = this.#owedTicks;
    const end = Math.min(i + STEADY_PACKETS, table.count);
    for (let k = i + 1; k < end && leastTicks > mostTicks; k += 1) {
      const laterTicks = ticksOf(k) - ticksOf(i) - (k - i) * packetTicks;
      leastTicks = Math.min(leastTicks, this.#owedTicks + laterTicks);
    }
    return leastTicks > mostTicks ? Math.round(leastTicks) : 0;
  }

  /** How long packet `i` sounds: its step, unless a hole is in that. */
  #packetTicks(track: TimelineTrack, table: SampleTable, i: number): number {
    const step = (table.decodeTicks[i + 1] ?? 0) - (table.decodeTicks[i] ?? 0);
    const isUsual = step > 0 && step <= table.usualTicks && i + 1 < table.count;
    const ticks = isUsual ? step : table.usualTicks;
    return Math.round((ticks * track.ticksPerSecond) / table.ticksPerSecond);
  }

  /** Fills what is missing before a packet at `atTicks` with silence. Gives whether any was needed. */
  async #fill(
    track: TimelineTrack,
    missingTicks: number,
    atTicks: number,
    before: MediaPlace,
  ): Promise<boolean> {
    const packets = this.#silence?.packets;
    const shortest = packets?.at(-1);
    if (packets === undefined || shortest === undefined) {
      this.leavesHoles = true;
      return false;
    }
    if (missingTicks > this.#silenceLeftTicks) this.leavesHoles = true;
    const gapTicks = Math.min(missingTicks, this.#silenceLeftTicks);
    this.#silenceLeftTicks -= Math.max(0, gapTicks);
    const wantedTicks = gapTicks + this.#owedTicks;
    // To the nearest: what is too short or too long is made good at the next gap.
    let leftTicks = Math.max(0, Math.round(wantedTicks / shortest.samples)) * shortest.samples;
    this.#owedTicks = wantedTicks - leftTicks;
    // Where more is missing than there is time for, its times are nearer together: none is before that
    // of the sound that was, and none behind that of the packet.
    if (leftTicks > atTicks - this.#endTicks) {
      const earliestTicks = track.samples > 0 ? track.lastTicks + 1 : this.#endTicks;
      this.#endTicks = Math.max(earliestTicks, atTicks - leftTicks);
    }
    const spread = Math.min(1, Math.max(0, atTicks - this.#endTicks) / Math.max(1, leftTicks));
    let hasFilled = false;
    for (const packet of packets) {
      const pieceMax = Math.ceil((SILENCE_PIECE_S * track.ticksPerSecond) / packet.samples);
      while (leftTicks >= packet.samples) {
        const count = Math.min(pieceMax, Math.floor(leftTicks / packet.samples));
        this.#addSilence(track, packet, count, before, spread);
        this.#untilTurn -= count;
        if (this.#untilTurn <= 0) {
          await setImmediate();
          this.#untilTurn = SAMPLES_PER_TURN;
        }
        leftTicks -= count * packet.samples;
        hasFilled = true;
      }
    }
    return hasFilled;
  }

  /** @param spread from one packet's time to the next, in lengths of a packet; at most 1 */
  #addSilence(
    track: TimelineTrack,
    packet: SilentPacket,
    count: number,
    before: MediaPlace,
    spread: number,
  ): void {
    const atMs = (this.#endTicks / track.ticksPerSecond) * 1_000;
    const place = this.#placeFor(atMs, before);
    const bytes = this.#pieceOf(packet, count);
    const insertion = { ...place, bytes, isOfSample: false };
    this.#insertions.push(insertion);
    track.silences.push({ first: track.samples, samples: count, bytes: insertion.bytes.length });
    track.beginInsertedChunk(insertion, 0, Math.floor(this.#endTicks));
    for (let i = 0; i < count; i += 1) {
      track.add(Math.floor(this.#endTicks), 0, packet.bytes.length, true);
      this.#endTicks += packet.samples * spread;
    }
    this.silentPackets += count;
  }

  #pieceOf(packet: SilentPacket, count: number): Uint8Array {
    const length = packet.bytes.length * count;
    if (this.#piece?.packet !== packet || this.#piece.bytes.length !== length) {
      this.#piece = { packet, bytes: repeated(packet.bytes, count) };
    }
    return this.#piece.bytes;
  }

  /** Before the first picture that comes then, or before the sound that follows the hole. */
  #placeFor(atMs: number, before: MediaPlace): MediaPlace {
    for (; this.#nextAnchor < this.#anchors.length; this.#nextAnchor += 1) {
      const anchor = this.#anchors[this.#nextAnchor];
      if (anchor === undefined || anchor.atMs < atMs) continue;
      const isEarlier =
        anchor.part < before.part ||
        (anchor.part === before.part && anchor.atBytes < before.atBytes);
      return isEarlier ? { part: anchor.part, atBytes: anchor.atBytes } : before;
    }
    return before;
  }
}

function channels({ entries }: SampleTable): number {
  return entries[0] === undefined ? 0 : channelsOf(entries[0]);
}

function repeated(bytes: Uint8Array, count: number): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}
