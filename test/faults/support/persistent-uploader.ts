import type { Mark } from "../../../src/contract/marks.ts";
import {
  type RecordingsApi,
  type TrackName,
  UnexpectedAnswerError,
} from "../../support/recordings-api.ts";
import type { AcknowledgementLedger } from "./acknowledgement-ledger.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Before the same request is sent again. */
const RETRY_DELAY_MS = 25;

/** A server that gives no answer for so long does not come back. */
const RETRY_TIMEOUT_MS = 90_000;

/** How far ahead of the first chunk that is not acknowledged others are sent. */
const WINDOW_CHUNKS = 24;

/** Largest batch in one request. */
const BATCH_CHUNKS_MAX = 4;

/** How often chunks are sent again that were acknowledged already. */
const RESEND_PROBABILITY = 0.1;

/** A whole segment that is to be uploaded. */
export interface SegmentUpload extends TrackName {
  readonly segmentId: string;
  readonly mimeType: string;
  /** The payload of sequence i is `chunks[i]`. */
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

/** How an upload is done. */
export interface UploadManner {
  readonly api: RecordingsApi;
  readonly ledger: AcknowledgementLedger;
  readonly random: SeededRandom;
  /** Requests of the segment that are under way at once. */
  readonly parallel: number;
  /** Longest pause of a lane between two requests. */
  readonly pauseMsMax: number;
  /** Told when the server could not take chunks: 503 or 507. */
  readonly onRefused?: (refusal: UnexpectedAnswerError) => void;
}

/**
 * Uploads a segment as a stubborn client does: several requests at once, out of order, one chunk or
 * a few at a time, some sent twice, each again and again until it is acknowledged. Every
 * acknowledgement goes into the ledger. Resolves when all chunks are acknowledged.
 *
 * @throws UnexpectedAnswerError for an answer that no fault of the server's disk or process excuses
 */
export async function uploadPersistently(
  upload: SegmentUpload,
  { api, ledger, random, parallel, pauseMsMax, onRefused }: UploadManner,
): Promise<void> {
  const missing = new Set(upload.chunks.keys());
  const sendAgain = async (sequence: number, count: number): Promise<void> => {
    const chunks = upload.chunks.slice(sequence, sequence + count);
    const marks = chunks.map((_, i) => marksOf(sequence + i));
    const request = { ...upload, sequence, chunks, marks };
    const answer = await persistently(() => api.upload(request), onRefused);
    ledger.record(request, chunks, answer);
    for (const acknowledged of answer.chunks) missing.delete(acknowledged.sequence);
  };
  const lane = async (): Promise<void> => {
    while (missing.size > 0) {
      const window = [...missing].slice(0, WINDOW_CHUNKS);
      const resends = random.chance(RESEND_PROBABILITY);
      const sequence = resends ? random.int(0, window[0] ?? 0) : random.pick(window);
      await sendAgain(sequence, random.int(1, BATCH_CHUNKS_MAX));
      await Bun.sleep(random.int(0, pauseMsMax));
    }
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

/** Marks that some chunks bring, and that change nothing of their media; no two chunks' are alike. */
function marksOf(sequence: number): readonly Mark[] {
  return sequence % 3 === 1 ? [{ type: "visible", atMs: sequence }] : [];
}

/**
 * Asks again until there is an answer: over a connection that fails, and when the server says that it
 * cannot do it now (503 or 507, each with Retry-After).
 *
 * @throws the last failure when there was nothing else for a minute and a half
 */
export async function persistently<Answer>(
  ask: () => Promise<Answer>,
  onRefused?: (refusal: UnexpectedAnswerError) => void,
): Promise<Answer> {
  const deadlineMs = performance.now() + RETRY_TIMEOUT_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      if (error instanceof UnexpectedAnswerError) {
        if (!isRefusal(error)) throw error;
        onRefused?.(error);
      } else if (!isNetworkFailure(error)) throw error;
      await Bun.sleep(RETRY_DELAY_MS);
    }
  }
}

function isRefusal({ status, retryAfter }: UnexpectedAnswerError): boolean {
  return (status === 503 || status === 507) && /^[1-9]\d*$/.test(retryAfter ?? "");
}

function isNetworkFailure(error: unknown): boolean {
  // Bun's fetch gives a code to every failure of a connection: ConnectionRefused, ECONNRESET, ...
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

/** Cuts bytes into `count` chunks of random lengths, of which some may be empty, but not the first. */
export function cutIntoChunks(
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
  random: SeededRandom,
): Uint8Array<ArrayBuffer>[] {
  // Admission looks at the first bytes of chunk 0 for the container's header.
  const headerBytes = 64;
  const cuts = Array.from({ length: count - 1 }, () => random.int(headerBytes, bytes.length));
  const edges = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, i) => bytes.slice(edges[i], end));
}
