import type { PassedBlock } from "../finalize/passing-blocks.ts";
import { withUnitLengths } from "./h264-annex-b.ts";
import type { LiveMedia, LiveTracks } from "./live-media.ts";
import { box, fullBox, movieBoxes, u32 } from "./mp4-header.ts";

/** Finer than a millisecond for pictures; for sound its samples. */
const VIDEO_TICKS_PER_MS = 90;
const AUDIO_TICKS_PER_MS = 48;

/** What is taken for a picture's duration until two have come. */
const FIRST_PICTURE_MS = 33;
/** A packet of sound whose length nothing tells: 1,024 samples of AAC at 48 kHz. */
const UNTOLD_SOUND_MS = 1_024 / 48;
/** No packet of sound is longer; one that claims to be is damaged. */
const SOUND_MS_MAX = 1_000;
/** Times of sound are whole milliseconds: what comes this near to the end before follows it at once. */
const JOINED_SOUND_MS_MAX = 20;

const TRACK_IDS = { video: 1, audio: 2 } as const;

/** ISO/IEC 14496-12, 8.8.3.1: `sample_depends_on` 2 is a key frame; else 1, and not a sync sample. */
const KEY_SAMPLE_FLAGS = 0x02000000;
const OTHER_SAMPLE_FLAGS = 0x01010000;

/** Durations, sizes, flags and composition offsets for each sample, and where the first lies. */
const TRUN_FLAGS = 0x000001 | 0x000100 | 0x000200 | 0x000400 | 0x000800;
/** Places count from the fragment's own `moof`. */
const TFHD_DEFAULT_BASE_IS_MOOF = 0x020000;

interface Sample {
  readonly data: Uint8Array;
  readonly isKey: boolean;
  readonly decodeTicks: number;
  readonly durationTicks: number;
  /** Of its presentation, after its decoding. */
  readonly offsetTicks: number;
}

/** Fragmented MP4 (https://www.w3.org/TR/mse-byte-stream-format-isobmff/), one `moof` for each fragment. */
export class FragmentedMp4Media implements LiveMedia {
  readonly contentType: string;
  readonly tracks: LiveTracks;
  readonly #isByteStream: boolean;
  #fragments = 0;
  #lastPictureTicks = -1;
  #pictureMs = FIRST_PICTURE_MS;
  #soundEndTicks = -Infinity;

  /**
   * @param codecs as in `codecs=`
   * @param isByteStream whether the pictures come as a byte stream of H.264 (annex B)
   */
  constructor(tracks: LiveTracks, codecs: readonly string[], isByteStream: boolean) {
    const kind = tracks.video === undefined ? "audio" : "video";
    this.contentType = `${kind}/mp4; codecs="${codecs.join(",")}"`;
    this.tracks = tracks;
    this.#isByteStream = isByteStream;
  }

  header(): Uint8Array {
    const { video, audio } = this.tracks;
    return movieBoxes({
      video: video && {
        track: video,
        id: TRACK_IDS.video,
        ticksPerSecond: VIDEO_TICKS_PER_MS * 1e3,
      },
      audio: audio && {
        track: audio,
        id: TRACK_IDS.audio,
        ticksPerSecond: AUDIO_TICKS_PER_MS * 1e3,
      },
    });
  }

  fragment(blocks: readonly PassedBlock[]): Uint8Array {
    this.#fragments += 1;
    const runs = [
      { id: TRACK_IDS.video, samples: this.#pictures(blocks.filter(isPicture)) },
      { id: TRACK_IDS.audio, samples: this.#sounds(blocks.filter((block) => !isPicture(block))) },
    ].filter(({ samples }) => samples.length > 0);
    const media = runs.flatMap(({ samples }) => samples.map(({ data }) => data));
    // The places of the media are known once the size of the index is.
    const indexBytes = this.#index(runs, 0).length;
    return Buffer.concat([this.#index(runs, indexBytes + 8), box("mdat", media)]);
  }

  #index(
    runs: readonly { readonly id: number; readonly samples: readonly Sample[] }[],
    mediaAt: number,
  ): Buffer {
    let at = mediaAt;
    const fragments = runs.map(({ id, samples }) => {
      const place = at;
      for (const { data } of samples) at += data.length;
      return box("traf", [
        fullBox("tfhd", 0, TFHD_DEFAULT_BASE_IS_MOOF, [u32(id)]),
        fullBox("tfdt", 1, 0, [u64(samples[0]?.decodeTicks ?? 0)]),
        fullBox("trun", 1, TRUN_FLAGS, [u32(samples.length), u32(place), ...samples.map(entryOf)]),
      ]);
    });
    return box("moof", [fullBox("mfhd", 0, 0, [u32(this.#fragments)]), ...fragments]);
  }

  #pictures(blocks: readonly PassedBlock[]): Sample[] {
    const shownTicks = blocks.map(({ atMs }) => ticksOf(Math.max(0, atMs), VIDEO_TICKS_PER_MS));
    // Pictures come in the order of their decoding; each is decoded when the next one is shown.
    const decodeTicks = shownTicks.toSorted((a, b) => a - b);
    for (const [i, ticks] of decodeTicks.entries()) {
      decodeTicks[i] = Math.max(ticks, this.#lastPictureTicks + 1);
      this.#lastPictureTicks = decodeTicks[i];
    }
    return blocks.map(({ data, isKey }, i) => {
      const ticks = decodeTicks[i] ?? 0;
      const next = decodeTicks[i + 1];
      if (next !== undefined) this.#pictureMs = (next - ticks) / VIDEO_TICKS_PER_MS;
      return {
        data: this.#isByteStream ? withUnitLengths(data) : data,
        isKey,
        decodeTicks: ticks,
        durationTicks: Math.round(this.#pictureMs * VIDEO_TICKS_PER_MS),
        offsetTicks: (shownTicks[i] ?? 0) - ticks,
      };
    });
  }

  #sounds(blocks: readonly PassedBlock[]): Sample[] {
    return blocks.map(({ data, atMs, durationMs, track }) => {
      const soundTicks = ticksOf(Math.max(0, atMs - track.codecDelayMs), AUDIO_TICKS_PER_MS);
      const isJoined =
        Math.abs(soundTicks - this.#soundEndTicks) <= JOINED_SOUND_MS_MAX * AUDIO_TICKS_PER_MS;
      const decodeTicks = isJoined ? this.#soundEndTicks : soundTicks;
      const soundMs = clamped(durationMs ?? UNTOLD_SOUND_MS, 0, SOUND_MS_MAX);
      const durationTicks = ticksOf(soundMs, AUDIO_TICKS_PER_MS);
      this.#soundEndTicks = decodeTicks + durationTicks;
      return { data, isKey: true, decodeTicks, durationTicks, offsetTicks: 0 };
    });
  }
}

function isPicture({ track }: PassedBlock): boolean {
  return track.kind === "video";
}

/** What a hostile container tells can be any number; these fields have 32 bits. */
function clamped(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}

function ticksOf(ms: number, ticksPerMs: number): number {
  return Math.round(ms * ticksPerMs);
}

function entryOf({ durationTicks, data, isKey, offsetTicks }: Sample): Buffer {
  const entry = Buffer.alloc(16);
  entry.writeUInt32BE(clamped(durationTicks, 0, 0xffffffff), 0);
  entry.writeUInt32BE(data.length, 4);
  entry.writeUInt32BE(isKey ? KEY_SAMPLE_FLAGS : OTHER_SAMPLE_FLAGS, 8);
  entry.writeInt32BE(clamped(offsetTicks, -0x80000000, 0x7fffffff), 12);
  return entry;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
