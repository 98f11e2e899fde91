import type { Logger } from "pino";
import type { SegmentId } from "../contract/ids.ts";
import type { PassedBlock } from "../finalize/passing-blocks.ts";
import {
  LiveUnsupportedError,
  NotLiveError,
  OverloadedError,
  RecordingNotFoundError,
} from "../recording/errors.ts";
import { containerOfMimeType } from "../recording/container.ts";
import type {
  Catalog,
  ChunkStore,
  Clock,
  SegmentKey,
  SegmentReader,
  TrackKey,
} from "../recording/ports.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import { threadTurns } from "../recording/thread-turns.ts";
import type { TrackBell } from "../recording/track-bells.ts";
import type { ViewerBytes } from "../recording/viewer-bytes.ts";
import { KeyframeGate } from "./keyframe-gate.ts";
import { JoinPoints } from "./join-points.ts";
import { liveMediaFor } from "./live-formats.ts";
import { type JoinedPiece, followedFrom, joinSegment } from "./live-join.ts";
import type { LiveMedia, LiveTracks } from "./live-media.ts";
import { RecentChunks } from "./recent-chunks.ts";
import { runningSegment } from "./running-segment.ts";
import { openSegment } from "./segment-blocks.ts";
import { followSegment } from "./segment-follower.ts";

/** Viewers at once. `ViewerBytes` bounds their memory; each also takes a read of each chunk. */
const VIEWERS_MAX = 500;
const BUSY_RETRY_MS = 5_000;

/** How long a viewer waits for the first picture of a track that has just begun. */
const FIRST_PICTURE_WAIT_MS = 5_000;

/** Blocks of one fragment: its index takes the thread, and a hostile chunk has tens of thousands. */
const FRAGMENT_BLOCKS_MAX = 2_000;

/**
 * Handed to a connection at once. What a connection does not take at once is sent when it can, outside
 * of any turn, and many of them can at the same moment.
 */
const SENT_BYTES = 64 * 1024;

const H264 = "V_MPEG4/ISO/AVC";

/** What the live view is made of. */
export interface LiveViewParts {
  readonly engine: RecordingEngine;
  readonly store: ChunkStore;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly viewerBytes: ViewerBytes;
  readonly log: Logger;
}

/** A running segment as a viewer gets it. */
export interface LiveStream {
  readonly segmentId: SegmentId;
  /** With the codecs, as `addSourceBuffer` takes it. */
  readonly contentType: string;
  /**
   * Ends with the segment: when its client has ended it, another one is the running one, or the
   * recording is stopped. Whoever cancels it frees everything that it holds.
   */
  readonly body: ReadableStream<Uint8Array>;
}

/** One viewer. */
interface Viewer {
  readonly bell: TrackBell;
  /**
   * Asked before so many bytes are read for this viewer; false when they are to be left out.
   *
   * @throws OverloadedError instead, as long as nothing has been answered
   */
  readonly hold: (byteLength: number) => boolean;
  readonly onWait: () => void;
  readonly signal: AbortSignal;
}

/** What one viewer is given. */
interface OpenedView {
  readonly media: LiveMedia;
  /** What was read to find out what it is: one piece or none. Emptied when it is taken. */
  readonly first: JoinedPiece[];
  readonly pieces: AsyncIterable<JoinedPiece>;
}

/** Shows running tracks while their chunks become durable. */
export class LiveView {
  readonly #parts: LiveViewParts;
  readonly #viewers = new Set<AbortController>();
  readonly #chunks = new RecentChunks();
  readonly #joinPoints = new JoinPoints(this.#chunks);
  /** Those who wait for the same segment ask at the same moment. */
  readonly #overChecks = new Map<string, Promise<boolean>>();

  constructor(parts: LiveViewParts) {
    this.#parts = parts;
  }

  /**
   * The running segment of a track (`runningSegment`) from its last keyframe on, in a form that Media
   * Source Extensions take. The client asks again when it ends: another segment can have other codecs.
   *
   * @param onWait called every few seconds while the viewer waits and nothing comes, as in a pause
   * @throws RecordingNotFoundError; NotLiveError when nothing is being recorded at this moment,
   * or there is no keyframe to begin with; LiveUnsupportedError when browsers cannot be given its
   * codecs; OverloadedError when as many watch, or as many bytes wait for viewers, as are allowed
   */
  async open(track: TrackKey, onWait: () => void): Promise<LiveStream> {
    if (this.#viewers.size >= VIEWERS_MAX) {
      throw new OverloadedError(`${VIEWERS_MAX} viewers watch live already.`, BUSY_RETRY_MS);
    }
    const leaving = new AbortController();
    this.#viewers.add(leaving);
    const bell = this.#parts.engine.bells.listen(track);
    const holding = this.#parts.viewerBytes.open();
    const release = (): void => {
      bell[Symbol.dispose]();
      holding[Symbol.dispose]();
      if (!this.#viewers.delete(leaving)) return;
      const [viewers, heldBytes] = [this.#viewers.size, this.#parts.viewerBytes.total];
      this.#parts.log.debug({ ...track, viewers, heldBytes }, "live view ended");
    };
    let isAnswered = false;
    const hold = (byteLength: number): boolean => {
      if (isAnswered) return holding.hold(byteLength);
      holding.require(byteLength);
      return true;
    };
    try {
      // Many join at once, when a call is opened on a wall of screens or a server is back.
      await threadTurns.next();
      const key = await this.#runningSegment(track);
      const view = await this.#begin(key, { bell, hold, onWait, signal: leaving.signal });
      isAnswered = true;
      return {
        segmentId: key.segmentId,
        contentType: view.media.contentType,
        body: bodyOf(fragmentsOf(view), leaving, release),
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

  async #runningSegment(track: TrackKey): Promise<SegmentKey> {
    const { engine, catalog, clock } = this.#parts;
    const { recordingId, participantId, trackId } = track;
    const views = await engine.segments(recordingId, { recordingId, participantId, trackId });
    const segments = views.filter(({ summary }) => summary.chunks > 0);
    const record = await catalog.findRecording(recordingId);
    if (segments.length === 0 || record?.state !== "recording") {
      throw new NotLiveError("The track is not being recorded.");
    }
    const running = runningSegment(segments, clock.nowMs());
    if (running !== undefined) return running;
    throw new NotLiveError("The recorder of this track has stopped, and no other has begun yet.");
  }

  /** Waits until it is known what there is to show. */
  async #begin(key: SegmentKey, viewer: Viewer): Promise<OpenedView> {
    const { store, clock } = this.#parts;
    const deadlineMs = clock.nowMs() + FIRST_PICTURE_WAIT_MS;
    for (;;) {
      const leftMs = deadlineMs - clock.nowMs();
      const isLast = leftMs <= 0 || viewer.signal.aborted;
      const reader = await store.read(key.recordingId, key.segmentId);
      if (reader === undefined) throw new NotLiveError("The track is not being recorded.");
      try {
        const view = await this.#beginAt(key, reader, viewer, isLast);
        if (view !== undefined) return view;
      } finally {
        await reader.close();
      }
      viewer.hold(0);
      if (isLast) throw new NotLiveError("The beginning of the track has not arrived yet.");
      await viewer.bell.rung(leftMs, viewer.signal);
    }
  }

  /** Undefined while the header or, unless this is the last attempt, a keyframe is missing. */
  async #beginAt(
    key: SegmentKey,
    reader: SegmentReader,
    viewer: Viewer,
    isLast: boolean,
  ): Promise<OpenedView | undefined> {
    const { mimeType } = reader.description;
    if (containerOfMimeType(mimeType) === "mp4") throw new LiveUnsupportedError([mimeType]);
    viewer.hold(reader.byteLengthOf(0) ?? 0);
    const found = await this.#joinPoints.find(reader);
    if (found === undefined || (found.point === undefined && !isLast)) return undefined;
    const opened = await openSegment(reader, this.#chunks);
    if (opened === undefined) return undefined;
    const { video, audio } = opened.tracks;
    const hasPicture = video !== undefined && found.point !== undefined;
    const point = found.point ?? (await this.#joinPoints.findSound(reader));
    const chunks = followSegment(key, followedFrom(opened, point), {
      ...this.#parts,
      ...viewer,
      chunks: this.#chunks,
      settledBefore: reader.state.sequences.end,
      isOver: () => {
        viewer.onWait();
        return this.#isOver(key);
      },
      onDamaged: (sequence) =>
        this.#parts.log.error({ ...key, sequence }, "stored chunk is damaged"),
    });
    const pieces = joinSegment(opened, point, chunks);
    if (!hasPicture) return { media: mediaOf({ video, audio }, undefined), first: [], pieces };
    // The first picture says what the header does not.
    for (;;) {
      const { value: piece } = await pieces.next();
      if (piece === undefined) return undefined;
      const picture = piece.blocks.find(({ track }) => track.kind === "video");
      if (picture === undefined) continue;
      return { media: mediaOf({ video, audio }, picture.data), first: [piece], pieces };
    }
  }

  /** Whether the segment has ended, or another one is shown. */
  async #isOver(key: SegmentKey): Promise<boolean> {
    const name = `${key.recordingId}/${key.segmentId}`;
    const check = this.#overChecks.get(name) ?? this.#checkOver(key);
    this.#overChecks.set(name, check);
    try {
      return await check;
    } finally {
      this.#overChecks.delete(name);
    }
  }

  async #checkOver(key: SegmentKey): Promise<boolean> {
    try {
      const { segmentId } = await this.#runningSegment(key);
      return segmentId !== key.segmentId;
    } catch (error) {
      if (error instanceof NotLiveError || error instanceof RecordingNotFoundError) return true;
      throw error;
    }
  }
}

/**
 * @param keyFrame the first picture; undefined when there is none to begin with
 * @throws NotLiveError, LiveUnsupportedError
 */
function mediaOf({ video, audio }: LiveTracks, keyFrame: Uint8Array | undefined): LiveMedia {
  const hasPicture = keyFrame !== undefined;
  const media = liveMediaFor({ video: hasPicture ? video : undefined, audio }, keyFrame);
  if (media !== undefined) return media;
  if (!hasPicture && canBeShown(video)) {
    throw new NotLiveError("No keyframe that the live view could begin with has arrived yet.");
  }
  const codecs = [video?.codecId, audio?.codecId].filter((name) => name !== undefined);
  throw new LiveUnsupportedError(codecs);
}

async function* fragmentsOf({ media, first, pieces }: OpenedView): AsyncGenerator<Uint8Array> {
  const gate = new KeyframeGate(media);
  yield media.header();
  for (const { blocks } of first.splice(0)) yield* fragmentsWith(media, gate, blocks);
  for await (const { blocks, isAfterGap } of pieces) {
    if (isAfterGap) gate.gap();
    yield* fragmentsWith(media, gate, blocks);
  }
}

async function* fragmentsWith(
  media: LiveMedia,
  gate: KeyframeGate,
  blocks: readonly PassedBlock[],
): AsyncGenerator<Uint8Array> {
  const shown = blocks.filter((block) => gate.lets(block));
  for (let from = 0; from < shown.length; from += FRAGMENT_BLOCKS_MAX) {
    if (from > 0) await threadTurns.next();
    const fragment = media.fragment(shown.slice(from, from + FRAGMENT_BLOCKS_MAX));
    for (let sent = 0; sent < fragment.length; sent += SENT_BYTES) {
      if (sent > 0) await threadTurns.next();
      yield fragment.subarray(sent, sent + SENT_BYTES);
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
