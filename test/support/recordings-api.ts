import { createHash } from "node:crypto";
import {
  chunkUploadResultSchema,
  segmentStatusSchema,
  type ChunkUploadResult,
  type SegmentStatus,
} from "../../src/contract/chunks.ts";
import type { Mark } from "../../src/contract/marks.ts";
import {
  recordingListSchema,
  recordingSchema,
  recordingSummarySchema,
  type Recording,
  type RecordingSummary,
  type Track,
} from "../../src/contract/recordings.ts";
import { until } from "./until.ts";

/** How long finalizing a test's recording may take, transcoding on a busy machine included. */
const FINALIZE_TIMEOUT_MS = 60_000;

/** Names a track, in the words of the test. */
export interface TrackName {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
}

/** One multipart upload. */
export interface ChunkUpload extends TrackName {
  readonly segmentId: string;
  /** Of `chunks[0]`. */
  readonly sequence: number;
  readonly mimeType: string;
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  /** Those of each chunk; without them none are sent. */
  readonly marks?: readonly (readonly Mark[])[];
  /** When each chunk was captured, on the server's clock; without them nothing is told. */
  readonly capturedAtMs?: readonly number[];
}

/** The answer was not of the status that it should have had. */
export class UnexpectedAnswerError extends Error {
  readonly status: number;
  /** The header `Retry-After`. */
  readonly retryAfter: string | null;
  constructor(request: string, status: number, body: string, retryAfter: string | null) {
    super(`${request} answered ${status}: ${body}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Calls the server's routes as an app's backend does, and checks each answer by its schema. */
export class RecordingsApi {
  readonly serverUrl: string;

  /** @param serverUrl Without a slash at the end. */
  constructor(serverUrl: string) {
    this.serverUrl = serverUrl;
  }

  /** Starts a recording and gives its ID. */
  async start(name?: string): Promise<string> {
    const body = JSON.stringify(name === undefined ? {} : { name });
    const answer = await this.#post("/api/recordings", body);
    return recordingSummarySchema.parse(answer).recordingId;
  }

  async list(): Promise<RecordingSummary[]> {
    return recordingListSchema.parse(await this.#json("/api/recordings")).recordings;
  }

  /**
   * The list, once nothing is being finalized. For what is compared with the list of later, since a
   * recording that an earlier test stopped would still change by itself.
   */
  async settledList(): Promise<RecordingSummary[]> {
    return until(
      async () => {
        const recordings = await this.list();
        return recordings.some(({ state }) => state === "finalizing") ? undefined : recordings;
      },
      { what: "no recording is being finalized", timeoutMs: FINALIZE_TIMEOUT_MS },
    );
  }

  async show(recordingId: string): Promise<Recording> {
    return recordingSchema.parse(await this.#json(`/api/recordings/${recordingId}`));
  }

  async stop(recordingId: string): Promise<RecordingSummary> {
    return recordingSummarySchema.parse(await this.#post(`/api/recordings/${recordingId}/stop`));
  }

  /** Waits for the end of the finalization; throws when the recording or a track of it failed. */
  async ready(recordingId: string): Promise<Recording> {
    return until(
      async () => {
        const recording = await this.show(recordingId);
        const tracks = recording.participants.flatMap((participant) => participant.tracks);
        const failed = tracks.find(({ state }) => state === "failed");
        if (recording.state === "failed" || failed !== undefined) {
          throw new Error(`Recording ${recordingId} failed: ${JSON.stringify(recording, null, 2)}`);
        }
        const isReady =
          recording.state === "ready" && tracks.every(({ state }) => state === "ready");
        return isReady ? recording : undefined;
      },
      { what: `recording ${recordingId} is ready`, timeoutMs: FINALIZE_TIMEOUT_MS },
    );
  }

  async upload(upload: ChunkUpload): Promise<ChunkUploadResult> {
    const form = new FormData();
    for (const name of ["participantId", "trackId", "segmentId", "mimeType"] as const) {
      form.append(name, upload[name]);
    }
    form.append("sequence", String(upload.sequence));
    for (const [i, chunk] of upload.chunks.entries()) {
      form.append(`sha256_${i}`, createHash("sha256").update(chunk).digest("hex"));
      const capturedAtMs = upload.capturedAtMs?.[i];
      if (capturedAtMs !== undefined) form.append(`capturedAt_${i}`, String(capturedAtMs));
      const marks = upload.marks?.[i] ?? [];
      if (marks.length > 0) form.append(`marks_${i}`, JSON.stringify(marks));
      form.append(`chunk_${i}`, new Blob([chunk]));
    }
    const path = `/api/recordings/${upload.recordingId}/chunks`;
    return chunkUploadResultSchema.parse(await this.#json(path, { method: "POST", body: form }));
  }

  async endSegment(
    recordingId: string,
    segmentId: string,
    chunkCount: number,
  ): Promise<SegmentStatus> {
    const path = `/api/recordings/${recordingId}/segments/${segmentId}/end`;
    return segmentStatusSchema.parse(await this.#post(path, JSON.stringify({ chunkCount })));
  }

  async segmentStatus(recordingId: string, segmentId: string): Promise<SegmentStatus> {
    const path = `/api/recordings/${recordingId}/segments/${segmentId}`;
    return segmentStatusSchema.parse(await this.#json(path));
  }

  /** URL of a track's `media.mp4` or `source`. */
  trackUrl(track: TrackName, file: "media.mp4" | "source"): string {
    const [recording, participant, name] = [
      track.recordingId,
      track.participantId,
      track.trackId,
    ].map((id) => encodeURIComponent(id));
    return `${this.serverUrl}/api/recordings/${recording}/participants/${participant}/tracks/${name}/${file}`;
  }

  /** Downloads a URL of the server into a file. */
  async download(url: string, path: string): Promise<void> {
    const response = await fetch(url);
    if (!response.ok) throw await unexpected(`GET ${url}`, response);
    await Bun.write(path, await response.bytes());
  }

  async #post(path: string, body?: string): Promise<unknown> {
    return this.#json(path, {
      method: "POST",
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    });
  }

  async #json(path: string, init: RequestInit = {}): Promise<unknown> {
    const response = await fetch(`${this.serverUrl}${path}`, init);
    if (!response.ok) throw await unexpected(`${init.method ?? "GET"} ${path}`, response);
    return response.json();
  }
}

async function unexpected(request: string, response: Response): Promise<UnexpectedAnswerError> {
  return new UnexpectedAnswerError(
    request,
    response.status,
    await response.text(),
    response.headers.get("retry-after"),
  );
}

/** A track of a recording; throws when it is not there. */
export function trackOf(
  recording: Recording,
  { participantId, trackId }: Pick<TrackName, "participantId" | "trackId">,
): Track {
  const track = recording.participants
    .find((participant) => participant.participantId === participantId)
    ?.tracks.find((candidate) => candidate.trackId === trackId);
  if (track === undefined) {
    throw new Error(`No ${trackId} of ${participantId} in ${JSON.stringify(recording, null, 2)}`);
  }
  return track;
}
