import { type SegmentId, segmentIdSchema } from "../contract/ids.ts";
import { beginsWithContainerHeader } from "./container.ts";
import { ChunkMalformedError } from "./errors.ts";
import type { TrackKey } from "./ports.ts";
import type { RecordingEngine } from "./recording-engine.ts";

/** Chunks of one request of a client that numbers nothing. */
export interface UnnumberedAppend extends TrackKey {
  readonly chunks: readonly Uint8Array[];
}

/** Where a track's next chunk goes. */
interface Position {
  segmentId: SegmentId;
  nextSequence: number;
  /** Hashes of the newest chunks: what a client sends again after an answer that it did not get. */
  readonly recentHashes: string[];
}

/** A client that repeats a failed upload repeats what has piled up since, not more than this. */
const RECENT_HASHES_MAX = 256;

/** A position is looked up again from the chunk files when it has not been used for so many others. */
const POSITIONS_MAX = 10_000;

/**
 * Numbers chunks that carry no sequence in order of arrival. A chunk that begins with a container's
 * header opens a new segment of its track; bytes that were stored just before are not stored twice.
 */
export class ArrivalNumbering {
  readonly #engine: Pick<RecordingEngine, "append" | "segments">;
  readonly #newSegmentId: () => SegmentId;
  readonly #positions = new Map<string, Position>();
  /** The last request of each track: the next one waits for it, so that order of arrival holds. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(
    engine: Pick<RecordingEngine, "append" | "segments">,
    newSegmentId: () => SegmentId = () => segmentIdSchema.parse(crypto.randomUUID()),
  ) {
    this.#engine = engine;
    this.#newSegmentId = newSegmentId;
  }

  /**
   * Makes the chunks durable, in order. Those before the one that fails are durable even so, and are
   * recognised when they are sent again. Empty chunks carry nothing and are left out.
   *
   * @throws what `RecordingEngine.append` throws; ChunkMalformedError when the track's first chunk
   * does not begin with a container's header
   */
  append(request: UnnumberedAppend): Promise<void> {
    const name = JSON.stringify([request.recordingId, request.participantId, request.trackId]);
    const before = this.#turns.get(name) ?? Promise.resolve();
    const result = before.then(() => this.#appendInTurn(name, request));
    const turn = result
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        if (this.#turns.get(name) === turn) this.#turns.delete(name);
      });
    this.#turns.set(name, turn);
    return result;
  }

  async #appendInTurn(name: string, request: UnnumberedAppend): Promise<void> {
    const { recordingId, participantId, trackId } = request;
    for (const payload of request.chunks) {
      if (payload.length === 0) continue;
      const sha256 = new Bun.CryptoHasher("sha256").update(payload).digest("hex");
      let position = await this.#positionOf(name, request);
      if (position?.recentHashes.includes(sha256) === true) continue;
      if (beginsWithContainerHeader(payload)) {
        position = { segmentId: this.#newSegmentId(), nextSequence: 0, recentHashes: [] };
      } else if (position === undefined) {
        throw new ChunkMalformedError(
          "The first chunk does not begin with a WebM, Matroska or MP4 header.",
        );
      }
      await this.#engine.append({
        recordingId,
        participantId,
        trackId,
        segmentId: position.segmentId,
        mimeType: "",
        firstSequence: position.nextSequence,
        chunks: [{ payload, claimedSha256: sha256, capturedAtMs: null, marks: [] }],
      });
      position.nextSequence += 1;
      position.recentHashes.push(sha256);
      if (position.recentHashes.length > RECENT_HASHES_MAX) position.recentHashes.shift();
      this.#keep(name, position);
    }
  }

  /** After a restart the track goes on behind the last chunk of its newest segment. */
  async #positionOf(name: string, key: TrackKey): Promise<Position | undefined> {
    const known = this.#positions.get(name);
    if (known !== undefined) return known;
    const views = await this.#engine.segments(key.recordingId);
    const newest = views.findLast(
      ({ participantId, trackId }) =>
        participantId === key.participantId && trackId === key.trackId,
    );
    if (newest === undefined) return undefined;
    const { segmentId, summary } = newest;
    return { segmentId, nextSequence: summary.nextSequence, recentHashes: [] };
  }

  #keep(name: string, position: Position): void {
    this.#positions.delete(name);
    this.#positions.set(name, position);
    const oldest = this.#positions.keys().next();
    if (this.#positions.size > POSITIONS_MAX && oldest.done !== true) {
      this.#positions.delete(oldest.value);
    }
  }
}
