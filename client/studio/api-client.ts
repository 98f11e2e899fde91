import type { Export, ExportList, ExportRequest } from "../../src/contract/exports.ts";
import type { Problem, ProblemCode } from "../../src/contract/problem.ts";
import type {
  Recording,
  RecordingList,
  RecordingSummary,
  StartRecordingRequest,
} from "../../src/contract/recordings.ts";

/** A request that takes longer counts as unanswered. */
const REQUEST_TIMEOUT_MS = 15_000;

/** The server answered that it will not do what was asked. */
export class RequestRefusedError extends Error {
  override readonly name = "RequestRefusedError";
  readonly status: number;
  /** Null where the answer was not one of this server's own (of a proxy, for instance). */
  readonly code: ProblemCode | null;
  constructor(status: number, problem: Problem | null) {
    super(problem?.detail ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = problem?.code ?? null;
  }
}

/** No answer came: the network or the server is down, or too slow. */
export class ServerUnreachableError extends Error {
  override readonly name = "ServerUnreachableError";
  constructor(cause: unknown) {
    super("The server did not answer.", { cause });
  }
}

/** Like `fetch`, for paths of the server. */
export type FetchPath = (path: string, init: RequestInit) => Promise<Response>;

const segment = encodeURIComponent;

/** Path of everything of a recording in one ZIP. */
export function zipPath(recordingId: string): string {
  return `/api/recordings/${segment(recordingId)}/download`;
}

function exportPath(recordingId: string, exportId: string): string {
  return `/api/recordings/${segment(recordingId)}/exports/${segment(exportId)}`;
}

/** Path of a running track's live bytes. */
export function livePath(track: {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
}): string {
  const { recordingId, participantId, trackId } = track;
  const participant = `participants/${segment(participantId)}/tracks/${segment(trackId)}`;
  return `/api/recordings/${segment(recordingId)}/${participant}/source?live`;
}

async function problemOf(response: Response): Promise<Problem | null> {
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("application/problem+json")) return null;
  const problem: Problem = await response.json();
  return problem;
}

/**
 * The server's API, as this page uses it. Each method rejects with {@link RequestRefusedError} or
 * {@link ServerUnreachableError}. Answers are not parsed again: page and server are one delivery,
 * and the schemas' library would be most of the page's size.
 */
export class ApiClient {
  readonly #fetch: FetchPath;

  constructor(fetchPath: FetchPath) {
    this.#fetch = fetchPath;
  }

  /** Starts a recording on the server; nothing is captured by that. */
  startRecording(request: StartRecordingRequest): Promise<RecordingSummary> {
    return this.#json("POST", "/api/recordings", request);
  }

  /** Stops a recording; again is harmless. */
  stopRecording(recordingId: string): Promise<RecordingSummary> {
    return this.#json("POST", `/api/recordings/${segment(recordingId)}/stop`);
  }

  /** Makes the failed tracks' MP4s once more. */
  async retry(recordingId: string): Promise<void> {
    await this.#send("POST", `/api/recordings/${segment(recordingId)}/retry`);
  }

  /** The recording with its participants and tracks. */
  recording(recordingId: string): Promise<Recording> {
    return this.#json("GET", `/api/recordings/${segment(recordingId)}`);
  }

  /** One page of the list, newest first. */
  recordings(query: { limit: number; cursor?: string | null }): Promise<RecordingList> {
    const search = new URLSearchParams({ limit: String(query.limit) });
    if (query.cursor) search.set("cursor", query.cursor);
    return this.#json("GET", `/api/recordings?${search}`);
  }

  /** Deletes a stopped recording with all its files. */
  async deleteRecording(recordingId: string): Promise<void> {
    await this.#send("DELETE", `/api/recordings/${segment(recordingId)}`);
  }

  /** The exports of a recording, newest first. */
  exports(recordingId: string): Promise<ExportList> {
    return this.#json("GET", `/api/recordings/${segment(recordingId)}/exports`);
  }

  /** Asks for an export, with the options that hold by default. */
  requestExport(recordingId: string, request: Pick<ExportRequest, "kind">): Promise<Export> {
    return this.#json("POST", `/api/recordings/${segment(recordingId)}/exports`, request);
  }

  /** Cancels an export that has not ended. */
  cancelExport(recordingId: string, exportId: string): Promise<Export> {
    return this.#json("POST", `${exportPath(recordingId, exportId)}/cancel`);
  }

  /** Makes an export that failed or was cancelled again. */
  retryExport(recordingId: string, exportId: string): Promise<Export> {
    return this.#json("POST", `${exportPath(recordingId, exportId)}/retry`);
  }

  /** Deletes an export with its files. */
  async deleteExport(recordingId: string, exportId: string): Promise<void> {
    await this.#send("DELETE", exportPath(recordingId, exportId));
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#send(method, path, body);
    // A sign-in page can be answered with 200.
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith("application/json")) throw new RequestRefusedError(response.status, null);
    const answer: T = await response.json();
    return answer;
  }

  async #send(method: string, path: string, body?: unknown): Promise<Response> {
    const init: RequestInit = { method, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { "content-type": "application/json" };
    }
    let response: Response;
    try {
      response = await this.#fetch(path, init);
    } catch (cause) {
      throw new ServerUnreachableError(cause);
    }
    if (!response.ok) throw new RequestRefusedError(response.status, await problemOf(response));
    return response;
  }
}
