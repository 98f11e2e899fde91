import { z } from "zod";
import type { ChunkUploadResult } from "../../../src/contract/chunks.ts";
import { segmentIdSchema } from "../../../src/contract/ids.ts";
import { MARKS_PER_CHUNK_MAX, markSchema, type Mark } from "../../../src/contract/marks.ts";

/** What the contract takes in a chunk's field of marks; anything else is an error of the client. */
const marksSchema = z.array(markSchema).min(1).max(MARKS_PER_CHUNK_MAX);

/** A segment as a server keeps it, with what was told of its chunks. */
export interface StoredSegment {
  readonly recordingId: string;
  readonly participantId: string;
  readonly trackId: string;
  readonly segmentId: string;
  readonly mimeType: string;
  readonly chunks: Map<number, Uint8Array>;
  readonly capturedAtMs: Map<number, number>;
  readonly sha256: Map<number, string>;
  readonly marks: Map<number, readonly Mark[]>;
  chunkCount: number | null;
}

/** One request for chunks or for the end of a segment, as it arrived. */
export interface ArrivedRequest {
  readonly path: string;
  /** Sequences; empty for the end of a segment. */
  readonly sequences: readonly number[];
  /** Of the whole body, with its form. */
  readonly bodyBytes: number;
}

/**
 * What becomes of a request. `answer` is given instead of doing anything; `hold` is waited for
 * first; `losesAnswer` does what was asked, and cuts its answer off.
 */
export interface Fault {
  readonly answer?: () => Response;
  readonly hold?: Promise<void>;
  readonly losesAnswer?: boolean;
}

/** A server that keeps chunks in memory, speaks the contract, and fails as a test tells it to. */
export class ScriptedServer implements AsyncDisposable {
  readonly segments = new Map<string, StoredSegment>();
  readonly arrived: ArrivedRequest[] = [];
  readonly #files: Readonly<Record<string, string>>;
  readonly #faults: Fault[] = [];
  readonly #changes = new EventTarget();
  #fault: ((request: ArrivedRequest) => Fault | undefined) | undefined;
  #server: Bun.Server<undefined> | undefined;
  #port = 0;
  timeOffsetMs = 0;
  /** The server's clock is told only when this is over. */
  holdTime: Promise<void> | undefined;
  /** Sent with the page, if it is set. */
  contentSecurityPolicy: string | undefined;
  /** Whether pages of other origins, such as sandboxed ones, may read its answers. */
  isOpen = false;
  underWay = 0;
  underWayMax = 0;

  /** @param files JavaScript modules, and HTML at `/`, by path */
  constructor(files: Readonly<Record<string, string>> = {}) {
    this.#files = files;
  }

  /** Listens on a free port; after a `stop` on the port that it had. */
  start(): this {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: this.#port,
      idleTimeout: 0,
      fetch: async (request) => {
        const isPreflight = request.method === "OPTIONS";
        const answer = isPreflight ? new Response() : await this.#handle(request);
        if (this.isOpen) {
          answer.headers.set("Access-Control-Allow-Origin", "*");
          answer.headers.set("Access-Control-Allow-Headers", "*");
        }
        return answer;
      },
    });
    this.#port = this.#server.port ?? 0;
    return this;
  }

  /** Listens no more, and breaks the connections. */
  async stop(): Promise<void> {
    await this.#server?.stop(true);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** Faults for the next requests for chunks and ends, one each. */
  failNext(...faults: readonly Fault[]): void {
    this.#faults.push(...faults);
  }

  /** Decides for each request that no `failNext` is left for. */
  failWhen(fault: (request: ArrivedRequest) => Fault | undefined): void {
    this.#fault = fault;
  }

  /** The payloads of a segment in order of sequence. */
  bytesOf({ chunks }: StoredSegment): Uint8Array {
    const sequences = [...chunks.keys()].toSorted((a, b) => a - b);
    return Buffer.concat(sequences.map((sequence) => chunks.get(sequence) ?? new Uint8Array()));
  }

  /** Resolves as soon as the condition holds; it is looked at after every request. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!condition()) return;
        this.#changes.removeEventListener("change", look);
        resolve();
      };
      this.#changes.addEventListener("change", look);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const file = this.#files[pathname];
    if (file !== undefined) {
      const type = pathname.endsWith("/") ? "text/html" : "text/javascript";
      const headers = new Headers({ "Content-Type": `${type};charset=utf-8` });
      if (this.contentSecurityPolicy !== undefined) {
        headers.set("Content-Security-Policy", this.contentSecurityPolicy);
      }
      return new Response(file, { headers });
    }
    if (pathname === "/api/time") {
      await this.holdTime;
      return Response.json({ nowMs: Date.now() + this.timeOffsetMs });
    }
    const [, recordingId, rest] = /^\/api\/recordings\/([^/]+)\/(.+)$/.exec(pathname) ?? [];
    if (recordingId === undefined || rest === undefined) return new Response("", { status: 404 });
    if (request.method !== "POST") return problem(405, "method-not-allowed");
    const bodyBytes = Number(request.headers.get("Content-Length"));
    this.underWay += 1;
    this.underWayMax = Math.max(this.underWayMax, this.underWay);
    try {
      const isChunks = rest === "chunks";
      return isChunks
        ? await this.#chunks(
            { path: pathname, bodyBytes },
            decodeURIComponent(recordingId),
            await request.formData(),
          )
        : await this.#end(
            { path: pathname, bodyBytes },
            rest.split("/")[1] ?? "",
            await request.json(),
          );
    } finally {
      this.underWay -= 1;
      this.#changes.dispatchEvent(new Event("change"));
    }
  }

  async #faultOf(request: ArrivedRequest): Promise<Fault> {
    this.arrived.push(request);
    this.#changes.dispatchEvent(new Event("change"));
    const fault = this.#faults.shift() ?? this.#fault?.(request) ?? {};
    await fault.hold;
    return fault;
  }

  async #chunks(
    arrived: Omit<ArrivedRequest, "sequences">,
    recordingId: string,
    form: FormData,
  ): Promise<Response> {
    const first = Number(form.get("sequence"));
    const sequences: number[] = [];
    while (form.has(`chunk_${sequences.length}`)) sequences.push(first + sequences.length);
    const fault = await this.#faultOf({ ...arrived, sequences });
    if (fault.answer !== undefined) return fault.answer();

    const segmentId = textOf(form.get("segmentId"));
    const segment: StoredSegment = this.segments.get(segmentId) ?? {
      recordingId,
      participantId: textOf(form.get("participantId")),
      trackId: textOf(form.get("trackId")),
      segmentId,
      mimeType: textOf(form.get("mimeType")),
      chunks: new Map(),
      capturedAtMs: new Map(),
      sha256: new Map(),
      marks: new Map(),
      chunkCount: null,
    };
    this.segments.set(segmentId, segment);
    for (const [i, sequence] of sequences.entries()) {
      const chunk = form.get(`chunk_${i}`);
      if (!(chunk instanceof Blob)) throw new TypeError(`chunk_${i} is no file`);
      segment.chunks.set(sequence, new Uint8Array(await chunk.arrayBuffer()));
      const capturedAt = form.get(`capturedAt_${i}`);
      if (capturedAt !== null) segment.capturedAtMs.set(sequence, Number(capturedAt));
      const marks = form.get(`marks_${i}`);
      if (marks !== null) {
        segment.marks.set(sequence, marksSchema.parse(JSON.parse(textOf(marks))));
      }
      const sha256 = form.get(`sha256_${i}`);
      if (sha256 !== null) segment.sha256.set(sequence, textOf(sha256));
    }
    if (fault.losesAnswer === true) return cutOffAnswer();
    const result: ChunkUploadResult = {
      segmentId: segmentIdSchema.parse(segmentId),
      nextSequence: 0,
      missing: [],
      chunks: sequences.map((sequence) => ({ sequence, outcome: "accepted" })),
    };
    return Response.json(result);
  }

  async #end(
    arrived: Omit<ArrivedRequest, "sequences">,
    segmentId: string,
    body: { chunkCount: number },
  ): Promise<Response> {
    const fault = await this.#faultOf({ ...arrived, sequences: [] });
    if (fault.answer !== undefined) return fault.answer();
    const segment = this.segments.get(segmentId);
    if (segment === undefined) return problem(404, "segment-not-found");
    segment.chunkCount = body.chunkCount;
    if (fault.losesAnswer === true) return cutOffAnswer();
    return Response.json({ segmentId, nextSequence: 0, missing: [], bytes: 0, ended: true });
  }
}

/** An answer of the contract's problem type. */
export function problem(
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json(
    { type: "about:blank", title: code, status, code, detail: `It is ${code}.` },
    { status, headers: { "Content-Type": "application/problem+json", ...headers } },
  );
}

/** An answer whose connection broke in the middle. */
function cutOffAnswer(): Response {
  return new Response('{"segmentId":');
}

function textOf(value: FormDataEntryValue | null): string {
  if (typeof value !== "string") throw new TypeError("A text field is missing");
  return value;
}
