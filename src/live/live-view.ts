import type { Logger } from "pino";
import type { SegmentId } from "../contract/ids.ts";
import type { PassedBlock } from "../finalize/matroska-filter.ts";
import {
  LiveUnsupportedError,
  NotLiveError,
  OverloadedError,
  RecordingNotFoundError,
} from "../recording/errors.ts";
import { containerOfMimeType } from "../recording/container.ts";
import type { Catalog, ChunkStore, Clock, SegmentKey, TrackKey } from "../recording/ports.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import type { TrackBell } from "../recording/track-bells.ts";
import { KeyframeGate } from "./keyframe-gate.ts";
import { liveMediaFor } from "./live-formats.ts";
import { type LiveJoin, joinSegment } from "./live-join.ts";
import type { LiveMedia, LiveTracks } from "./live-media.ts";
import { followSegment } from "./segment-follower.ts";

/** Viewers at once. Each takes a few chunks of memory, and a read of each chunk. */
const VIEWERS_MAX = 500;
const BUSY_RETRY_MS = 5_000;

/** How long a viewer waits for the first picture of a track that has just begun. */
const FIRST_PICTURE_WAIT_MS = 5_000;

const H264 = "V_MPEG4/ISO/AVC";

/** What the live view is made of. */
export interface LiveViewParts {
  readonly engine: RecordingEngine;
  readonly store: ChunkStore;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A running segment as a viewer gets it. */
export interface LiveStream {
  readonly segmentId: SegmentId;
  /** With the codecs, as `addSourceBuffer` takes it. */
  readonly contentType: string;
  /**
   * Ends with the segment: when its client has ended it, a newer one has begun, or the recording is
   * stopped. Whoever cancels it frees everything that it holds.
   */
  readonly body: ReadableStream<Uint8Array>;
}

/** What one viewer is given. */
interface OpenedView {
  readonly key: SegmentKey;
  readonly join: LiveJoin;
  readonly media: LiveMedia;
  readonly bell: TrackBell;
  /** Blocks that have passed the filter of `join` and wait to be written. */
  readonly pending: PassedBlock[];
  readonly isOver: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** Shows running tracks while their chunks become durable. */
export class LiveView {
  readonly #parts: LiveViewParts;
  readonly #viewers = new Set<AbortController>();

  constructor(parts: LiveViewParts) {
    this.#parts = parts;
  }

  /**
   * The newest segment of a track from its last keyframe on, in a form that Media Source Extensions
   * take. The client asks again when it ends: a new segment can have other codecs.
   *
   * @param onWait called every few seconds while the viewer waits and nothing comes, as in a pause
   * @throws RecordingNotFoundError; NotLiveError when nothing is being recorded at this moment,
   * or there is no keyframe to begin with; LiveUnsupportedError when browsers cannot be given its
   * codecs; OverloadedError
   */
  async open(track: TrackKey, onWait: () => void): Promise<LiveStream> {
    if (this.#viewers.size >= VIEWERS_MAX) {
      throw new OverloadedError(`${VIEWERS_MAX} viewers watch live already.`, BUSY_RETRY_MS);
    }
    const viewer = new AbortController();
    this.#viewers.add(viewer);
    const bell = this.#parts.engine.bells.listen(track);
    const release = (): void => {
      bell[Symbol.dispose]();
      if (!this.#viewers.delete(viewer)) return;
      this.#parts.log.debug({ ...track, viewers: this.#viewers.size }, "live view ended");
    };
    try {
      const key = await this.#runningSegment(track);
      const pending: PassedBlock[] = [];
      const { join, media } = await this.#begin(key, bell, pending, viewer.signal);
      const isOver = (): Promise<boolean> => {
        onWait();
        return this.#isOver(key);
      };
      const { signal } = viewer;
      const blocks = this.#stream({ key, join, media, bell, pending, isOver, signal });
      return {
        segmentId: key.segmentId,
        contentType: media.contentType,
        body: bodyOf(blocks, viewer, release),
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Ends all streams; new ones end at once. */
  stop(): void {
    for (const viewer of this.#viewers) viewer.abort();
  }

  /** The newest segment with chunks, unless it has ended. */
  async #runningSegment(track: TrackKey): Promise<SegmentKey> {
    const { engine, catalog } = this.#parts;
    const segments = (await engine.segments(track.recordingId)).filter(
      (segment) =>
        segment.participantId === track.participantId &&
        segment.trackId === track.trackId &&
        segment.summary.chunks > 0,
    );
    const newest = segments.at(-1);
    const record = await catalog.findRecording(track.recordingId);
    if (newest === undefined || record?.state !== "recording") {
      throw new NotLiveError("The track is not being recorded.");
    }
    const { chunkCount, nextSequence } = newest.summary;
    if (chunkCount !== null && nextSequence >= chunkCount) {
      throw new NotLiveError("The recorder of this track has stopped, and no other has begun yet.");
    }
    return newest;
  }

  /** Waits until it is known what there is to show. */
  async #begin(
    key: SegmentKey,
    bell: TrackBell,
    pending: PassedBlock[],
    signal: AbortSignal,
  ): Promise<{ join: LiveJoin; media: LiveMedia }> {
    const { store, clock } = this.#parts;
    const deadlineMs = clock.nowMs() + FIRST_PICTURE_WAIT_MS;
    // Once is enough: what comes later is near.
    let looksFar = true;
    for (;;) {
      const reader = await store.read(key.recordingId, key.segmentId);
      if (reader === undefined) throw new NotLiveError("The track is not being recorded.");
      let join: LiveJoin | undefined;
      try {
        const { mimeType } = reader.description;
        if (containerOfMimeType(mimeType) === "mp4") throw new LiveUnsupportedError([mimeType]);
        join = await joinSegment(reader, (block) => pending.push(block), looksFar);
        looksFar = join === undefined;
      } finally {
        await reader.close();
      }
      const leftMs = deadlineMs - clock.nowMs();
      const isLast = leftMs <= 0 || signal.aborted;
      const hasPicture = join?.blocks.some(({ track }) => track.kind === "video") === true;
      if (join !== undefined && (join.tracks.video === undefined || hasPicture || isLast)) {
        const { video, audio } = join.tracks;
        const media = liveMediaFor(
          { video: hasPicture ? video : undefined, audio },
          join.blocks.find(({ track }) => track.kind === "video")?.data,
        );
        if (media === undefined) {
          if (!hasPicture && canBeShown(video)) {
            throw new NotLiveError(
              "No keyframe that the live view could begin with has arrived yet.",
            );
          }
          const codecs = [video?.codecId, audio?.codecId].filter((name) => name !== undefined);
          throw new LiveUnsupportedError(codecs);
        }
        return { join, media };
      }
      if (isLast) throw new NotLiveError("The beginning of the track has not arrived yet.");
      await bell.rung(leftMs, signal);
    }
  }

  async *#stream({
    key,
    join,
    media,
    bell,
    pending,
    isOver,
    signal,
  }: OpenedView): AsyncGenerator<Uint8Array> {
    const { store, clock, log } = this.#parts;
    const gate = new KeyframeGate(media);
    yield media.header();
    // They are not held on to for as long as somebody watches.
    const first = join.blocks.splice(0).filter((block) => gate.lets(block));
    if (first.length > 0) yield media.fragment(first);
    const chunks = followSegment(key, join.nextSequence, {
      store,
      clock,
      bell,
      isOver,
      onDamaged: (sequence) => log.error({ ...key, sequence }, "stored chunk is damaged"),
      signal,
    });
    for await (const { chunk, isAfterGap } of chunks) {
      if (isAfterGap) {
        join.filter.gap();
        gate.gap();
      }
      join.filter.push(chunk.payload);
      const blocks = pending.splice(0).filter((block) => gate.lets(block));
      if (blocks.length > 0) yield media.fragment(blocks);
    }
  }

  async #isOver(key: SegmentKey): Promise<boolean> {
    try {
      const { segmentId } = await this.#runningSegment(key);
      return segmentId !== key.segmentId;
    } catch (error) {
      if (error instanceof NotLiveError || error instanceof RecordingNotFoundError) return true;
      throw error;
    }
  }
}

/** Whether nothing but a keyframe is missing. */
function canBeShown(video: LiveTracks["video"]): boolean {
  if (video === undefined) return false;
  // Only a keyframe tells the configuration of a byte stream.
  const isByteStream = video.codecId === H264 && video.codecPrivate === "" && !video.encoded;
  return isByteStream || liveMediaFor({ video, audio: undefined }, undefined) !== undefined;
}

function bodyOf(
  blocks: AsyncGenerator<Uint8Array>,
  viewer: AbortController,
  release: () => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await blocks.next();
          if (done !== true) {
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          release();
          throw error;
        }
        release();
        controller.close();
      },
      cancel: async () => {
        viewer.abort();
        release();
        // It may be waiting for a chunk; the signal wakes it up.
        await blocks.return(undefined);
      },
    },
    // Not a fragment more than what is asked for.
    { highWaterMark: 0 },
  );
}
