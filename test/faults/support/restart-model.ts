import { expect } from "bun:test";
import { z } from "zod";
import { chunkUploadResultSchema } from "../../../src/contract/chunks.ts";
import { metadataSchema } from "../../../src/contract/metadata.ts";
import { problemSchema } from "../../../src/contract/problem.ts";
import { recordingListSchema, recordingSummarySchema } from "../../../src/contract/recordings.ts";
import { RecordingsApi, trackOf } from "../../support/recordings-api.ts";
import { recordedSegment } from "../../support/recorded-media.ts";
import { until } from "../../support/until.ts";
import type { KnownIds, StrayRequest } from "./stray-requests.ts";

/** What the start of a recording asked for. */
const wantedSchema = z.object({
  name: z.string().optional(),
  metadata: metadataSchema.default({}),
});

/** How long the finalization of a clearing's recordings may take on a busy machine. */
const END_TIMEOUT_MS = 120_000;

const GOOD_TRACK = { participantId: "ada", trackId: "camera" };

/** What a server said of a recording when it took it. */
interface StartedRecording {
  readonly name: string | null;
  /** JSON. */
  readonly metadata: string;
}

/** What was acknowledged, by whichever server, and has to be there after every restart. */
export class RestartModel {
  readonly #started = new Map<string, StartedRecording>();
  /** Next sequence of each segment, of its recording. */
  readonly #segments = new Map<string, { recordingId: string; nextSequence: number }>();
  /** Recordings whose every chunk is good, and that were stopped. */
  readonly #good = new Set<string>();
  requests = 0;
  taken = 0;
  finalized = 0;
  ended = 0;

  get known(): KnownIds {
    return {
      // Strangers would make a good one worse, as they may.
      recordingIds: orNone(this.#started.keys().filter((id) => !this.#good.has(id))),
      segmentIds: orNone(this.#segments.keys()),
    };
  }

  /** Sends a request, and checks that the server answers it by an answer of its own. */
  async send(serverUrl: string, { method, path, headers, body }: StrayRequest): Promise<void> {
    const { known } = this;
    const sentPath = path(known);
    const sent = body?.(known);
    const response = await fetch(serverUrl + sentPath, {
      method,
      headers,
      ...(sent === undefined ? {} : { body: sent }),
    });
    this.requests += 1;
    const answer = await response.text();
    const text = typeof sent === "string" ? sent.slice(0, 200) : "";
    const what = `${method} ${sentPath.slice(0, 200)} ${text}`;
    expect(response.status, `${what}: ${answer.slice(0, 500)}`).toBeLessThan(500);
    if (response.headers.get("content-type") === "application/problem+json" && answer !== "") {
      problemSchema.parse(JSON.parse(answer));
    }
    if (response.ok) this.#remember(method, sentPath, sent, answer);
  }

  /** Records, ends and stops what can be finalized. */
  async recordGood(serverUrl: string): Promise<void> {
    const api = new RecordingsApi(serverUrl);
    const { mimeType, chunks } = await recordedSegment("audio-opus");
    const recordingId = await api.start("good");
    this.#started.set(recordingId, { name: "good", metadata: "{}" });
    const segmentId = crypto.randomUUID();
    await api.upload({
      ...GOOD_TRACK,
      recordingId,
      segmentId,
      sequence: 0,
      mimeType,
      chunks: chunks.map(({ payload }) => payload),
    });
    await api.endSegment(recordingId, segmentId, chunks.length);
    await api.stop(recordingId);
    this.#good.add(recordingId);
  }

  /** Checks that a server that has been started serves, and knows everything that was acknowledged. */
  async expectAllThere(serverUrl: string): Promise<void> {
    expect((await fetch(`${serverUrl}/readyz`)).status).toBe(200);
    const api = new RecordingsApi(serverUrl);
    const listed = await listAll(serverUrl);
    for (const [recordingId, { name, metadata }] of this.#started) {
      expect(listed.get(recordingId), recordingId).toEqual({ name, metadata });
      await api.show(recordingId);
    }
    for (const [segmentId, { recordingId, nextSequence }] of this.#segments) {
      const status = await api.segmentStatus(recordingId, segmentId);
      expect(status.nextSequence).toBeGreaterThanOrEqual(nextSequence);
    }
  }

  /** Waits until all that is good has its MP4. */
  async expectGoodFinalized(serverUrl: string): Promise<void> {
    const api = new RecordingsApi(serverUrl);
    for (const recordingId of this.#good) {
      const track = trackOf(await api.ready(recordingId), GOOD_TRACK);
      expect(track).toMatchObject({ state: "ready", verdict: "complete", reason: null });
      this.finalized += 1;
    }
    this.#good.clear();
  }

  /** Stops everything, waits until each has ended, well or not, and deletes it. */
  async endAll(serverUrl: string): Promise<void> {
    const api = new RecordingsApi(serverUrl);
    const recordingIds = [...(await listAll(serverUrl)).keys()];
    for (const recordingId of recordingIds) await api.stop(recordingId);
    for (const recordingId of recordingIds) {
      await until(
        async () => /^(ready|failed)$/.test((await api.show(recordingId)).state) || undefined,
        { what: `recording ${recordingId} has ended`, timeoutMs: END_TIMEOUT_MS },
      );
      this.ended += 1;
      const url = `${serverUrl}/api/recordings/${recordingId}`;
      expect((await fetch(url, { method: "DELETE" })).status).toBe(204);
    }
    this.#started.clear();
    this.#segments.clear();
    expect((await listAll(serverUrl)).size).toBe(0);
  }

  #remember(
    method: string,
    path: string,
    sent: string | FormData | undefined,
    answer: string,
  ): void {
    if (method === "POST" && path === "/api/recordings") {
      const { recordingId, name, metadata } = recordingSummarySchema.parse(JSON.parse(answer));
      const wanted = wantedSchema.parse(
        typeof sent === "string" && sent !== "" ? JSON.parse(sent) : {},
      );
      expect(JSON.stringify(metadata)).toBe(JSON.stringify(wanted.metadata));
      expect(name).toBe(wanted.name?.trim() ?? null);
      this.#started.set(recordingId, { name, metadata: JSON.stringify(metadata) });
      this.taken += 1;
    }
    if (method === "POST" && path.endsWith("/chunks")) {
      const { segmentId, nextSequence } = chunkUploadResultSchema.parse(JSON.parse(answer));
      const recordingId = path.split("/")[3] ?? "";
      this.#segments.set(segmentId, { recordingId, nextSequence });
      this.taken += 1;
    }
    if (method === "DELETE" && /^\/api\/recordings\/[^/]+$/.test(path)) {
      const recordingId = path.split("/")[3] ?? "";
      this.#started.delete(recordingId);
      this.#good.delete(recordingId);
      for (const [segmentId, it] of this.#segments) {
        if (it.recordingId === recordingId) this.#segments.delete(segmentId);
      }
    }
  }
}

/** There is always an ID to name, if only one of nothing. */
function orNone(ids: Iterable<string>): string[] {
  const all = [...ids];
  return all.length === 0 ? [crypto.randomUUID()] : all;
}

/** Every recording that a server lists, page by page. */
async function listAll(serverUrl: string): Promise<Map<string, StartedRecording>> {
  const found = new Map<string, StartedRecording>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const response = await fetch(`${serverUrl}/api/recordings?limit=50${query}`);
    const page = recordingListSchema.parse(await response.json());
    for (const { recordingId, name, metadata } of page.recordings) {
      found.set(recordingId, { name, metadata: JSON.stringify(metadata) });
    }
    cursor = page.nextCursor;
  }
  return found;
}
