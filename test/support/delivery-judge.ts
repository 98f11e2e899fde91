import { expect } from "bun:test";
import type { SegmentSummary } from "../../src/contract/recordings.ts";
import type { LedgerChunk, LedgerRun, RecorderLedger } from "./recorder-ledger.ts";
import type { RecordingsApi, TrackName } from "./recordings-api.ts";

/** A segment on the server, and where it belongs. */
interface FoundSegment extends TrackName {
  readonly summary: SegmentSummary;
}

/** A chunk that a recorder gave and the server does not have. */
export interface UndeliveredChunk extends LedgerChunk {
  readonly runId: string;
  readonly sequence: number;
}

/**
 * Compares what recorders gave, by the ledger, with what the server has of one recording. Runs and
 * segments are told apart by their bytes alone.
 */
export class DeliveryJudge {
  readonly #ledger: Pick<RecorderLedger, "runs">;
  readonly #api: RecordingsApi;
  readonly #recordingId: string;
  readonly #segmentIds = new Map<string, string>();

  constructor(ledger: Pick<RecorderLedger, "runs">, api: RecordingsApi, recordingId: string) {
    this.#ledger = ledger;
    this.#api = api;
    this.#recordingId = recordingId;
  }

  /** Chunks handed over until `untilMs` (since the epoch) that are not durable on the server. */
  async undelivered(untilMs: number): Promise<UndeliveredChunk[]> {
    const segments = await this.#segments();
    const missing: UndeliveredChunk[] = [];
    for (const run of this.#ledger.runs) {
      const segment = await this.#segmentOf(run, segments);
      const present = segment === undefined ? new Set() : sequencesOf(segment.summary);
      for (const [sequence, chunk] of run.chunks.entries()) {
        if (chunk.atMs <= untilMs && !present.has(sequence)) {
          missing.push({ ...chunk, runId: run.runId, sequence });
        }
      }
    }
    return missing;
  }

  /**
   * Expects every byte of every segment of the recording to be one that a recorder gave, chunk by
   * chunk, at its place. To be called when the ledger is `hashed`. Gives the segment of each run of
   * the ledger that has one.
   */
  async expectExact(): Promise<Map<LedgerRun, SegmentSummary>> {
    const segments = await this.#segments();
    const found = new Map<LedgerRun, SegmentSummary>();
    for (const run of this.#ledger.runs) {
      const segment = await this.#segmentOf(run, segments);
      if (segment === undefined) continue;
      found.set(run, segment.summary);
      const source = await this.#sourceOf(segment);
      let offsetBytes = 0;
      for (const sequence of sequencesOf(segment.summary)) {
        const chunk = run.chunks[sequence];
        if (chunk === undefined) {
          throw new Error(`Segment ${segment.summary.segmentId} has a chunk ${sequence} too many`);
        }
        const payload = source.subarray(offsetBytes, offsetBytes + chunk.bytes);
        expect(payload.length).toBe(chunk.bytes);
        // The last chunk before a kill may be without its hash; its length counts.
        if (chunk.sha256 !== null) expect(sha256(payload)).toBe(chunk.sha256);
        offsetBytes += chunk.bytes;
      }
      expect(source.length).toBe(offsetBytes);
    }
    expect(found.size).toBe(segments.length);
    return found;
  }

  async #segments(): Promise<FoundSegment[]> {
    const { recordingId, participants } = await this.#api.show(this.#recordingId);
    return participants.flatMap(({ participantId, tracks }) =>
      tracks.flatMap(({ trackId, segments }) =>
        segments.map((summary) => ({ recordingId, participantId, trackId, summary })),
      ),
    );
  }

  async #segmentOf(
    run: LedgerRun,
    segments: readonly FoundSegment[],
  ): Promise<FoundSegment | undefined> {
    const known = this.#segmentIds.get(run.runId);
    if (known !== undefined) return segments.find(({ summary }) => summary.segmentId === known);
    const taken = new Set(this.#segmentIds.values());
    for (const segment of segments) {
      if (taken.has(segment.summary.segmentId)) continue;
      const [first] = sequencesOf(segment.summary);
      const chunk = run.chunks[first ?? 0];
      if (first === undefined || chunk === undefined) continue;
      if (sha256(await this.#beginOf(segment, chunk.bytes)) !== chunk.sha256) continue;
      this.#segmentIds.set(run.runId, segment.summary.segmentId);
      return segment;
    }
    return undefined;
  }

  async #sourceOf(segment: FoundSegment): Promise<Uint8Array> {
    return (await this.#requestSource(segment)).bytes();
  }

  /** The first bytes of a source, which can be that of hours. */
  async #beginOf(segment: FoundSegment, bytes: number): Promise<Uint8Array> {
    const { body } = await this.#requestSource(segment);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of body ?? []) {
      parts.push(part);
      length += part.length;
      if (length >= bytes) break;
    }
    return Buffer.concat(parts).subarray(0, bytes);
  }

  async #requestSource(segment: FoundSegment): Promise<Response> {
    const url = `${this.#api.trackUrl(segment, "source")}?segmentId=${segment.summary.segmentId}`;
    const response = await fetch(url);
    expect(response.status).toBe(200);
    return response;
  }
}

/** The sequences that are there, ascending. */
function sequencesOf({ chunks, missing }: SegmentSummary): Set<number> {
  const absent = new Set(
    missing.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
  );
  const all = Array.from({ length: chunks + absent.size }, (_, sequence) => sequence);
  return new Set(all.filter((sequence) => !absent.has(sequence)));
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
