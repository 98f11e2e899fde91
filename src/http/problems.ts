import { Elysia, NotFoundError, ParseError, ValidationError } from "elysia";
import type { Logger } from "pino";
import type { Problem, ProblemCode } from "../contract/problem.ts";
import { AppError, RecordingNotFoundError, ServerStoppingError } from "../recording/errors.ts";
import { allowedMethods, type Route } from "./allowed-methods.ts";
import { describeErrors } from "./parse-request.ts";
import {
  BodyTimeoutError,
  InvalidRequestError,
  MethodNotAllowedError,
  RangeNotSatisfiableError,
  RouteNotFoundError,
  UnreadableBodyError,
  UnsupportedContentEncodingError,
} from "./request-errors.ts";
import { pathOf } from "./request-target.ts";

/** Content type of every error (RFC 9457). */
export const PROBLEM_CONTENT_TYPE = "application/problem+json";

/** The one place where a code becomes an HTTP status. */
export function statusOf(code: ProblemCode): number {
  switch (code) {
    case "unreadable-body":
    case "invalid-host":
      return 400;
    case "foreign-origin":
      return 403;
    case "not-found":
    case "recording-not-found":
    case "segment-not-found":
    case "track-not-found":
    case "media-not-ready":
    case "export-not-found":
    case "export-file-not-found":
      return 404;
    case "method-not-allowed":
      return 405;
    case "body-timeout":
      return 408;
    case "recording-in-progress":
    case "nothing-to-retry":
    case "not-live":
    case "live-unsupported":
    case "nothing-to-export":
    case "export-conflict":
    case "chunk-conflict":
      return 409;
    case "recording-closed":
      return 410;
    case "precondition-failed":
      return 412;
    case "chunk-too-large":
      return 413;
    case "unsupported-media-type":
    case "unsupported-content-encoding":
      return 415;
    case "range-not-satisfiable":
      return 416;
    case "misdirected-request":
      return 421;
    case "invalid-request":
    case "chunk-malformed":
    case "chunk-hash-mismatch":
      return 422;
    case "over-quota":
      return 429;
    case "internal":
      return 500;
    case "overloaded":
    case "server-stopping":
    case "storage-failed":
      return 503;
    case "storage-full":
      return 507;
  }
}

/** What the code means, in a few words that are the same for every occurrence (RFC 9457, 3.1.3). */
function titleOf(code: ProblemCode): string {
  switch (code) {
    case "invalid-request":
      return "The request does not fit the contract";
    case "invalid-host":
      return "The Host header is missing or malformed";
    case "misdirected-request":
      return "The request is addressed to another host";
    case "foreign-origin":
      return "Pages of this origin are not allowed";
    case "method-not-allowed":
      return "The method is not allowed here";
    case "precondition-failed":
      return "The file is not the one that the request is for";
    case "unreadable-body":
      return "The request body cannot be read";
    case "body-timeout":
      return "The request body comes too slowly";
    case "unsupported-media-type":
      return "The content type is not supported here";
    case "unsupported-content-encoding":
      return "The content encoding is not supported";
    case "not-found":
      return "There is nothing here";
    case "recording-not-found":
      return "There is no such recording";
    case "segment-not-found":
      return "There is no such segment";
    case "track-not-found":
      return "There is no such track";
    case "media-not-ready":
      return "The MP4 is not ready";
    case "range-not-satisfiable":
      return "The file has no such range of bytes";
    case "recording-in-progress":
      return "The recording is in progress";
    case "nothing-to-retry":
      return "No track has failed";
    case "not-live":
      return "There is nothing to be shown live at this moment";
    case "live-unsupported":
      return "The track's codecs cannot be shown live";
    case "nothing-to-export":
      return "The recording has nothing to export";
    case "export-not-found":
      return "There is no such export";
    case "export-file-not-found":
      return "The export has no such file";
    case "export-conflict":
      return "The state of the export does not allow that";
    case "chunk-conflict":
      return "The chunk contradicts what is stored";
    case "chunk-malformed":
      return "The chunk cannot be part of the segment";
    case "chunk-hash-mismatch":
      return "The chunk was damaged on its way";
    case "chunk-too-large":
      return "The chunk or the request is too large";
    case "recording-closed":
      return "The recording takes no more chunks";
    case "over-quota":
      return "A limit is used up";
    case "overloaded":
      return "The server is busy";
    case "server-stopping":
      return "The server is stopping";
    case "storage-full":
      return "The disk is full";
    case "storage-failed":
      return "The disk failed";
    case "internal":
      return "The server failed";
  }
}

/** A URI that names the kind of problem; it leads nowhere (RFC 9457, 3.1.1 allows that). */
function typeOf(code: ProblemCode): string {
  return `urn:problem-type:track-capture:${code}`;
}

/** The answer for an error, with members of the problem's own where there are some. */
export function problemResponse(
  error: AppError,
  members: Readonly<Record<string, unknown>> = {},
): Response {
  const errors =
    error instanceof InvalidRequestError && error.errors.length > 0 ? error.errors : undefined;
  return response(
    {
      type: typeOf(error.code),
      title: titleOf(error.code),
      status: statusOf(error.code),
      code: error.code,
      detail: error.message,
      ...(errors === undefined ? {} : { errors }),
    },
    members,
    headersOf(error),
  );
}

/** Headers that belong to an error beside its body. */
function headersOf(error: AppError): Record<string, string> {
  const headers: Record<string, string> = {};
  if ("retryAfterMs" in error && typeof error.retryAfterMs === "number") {
    // Whole seconds (RFC 9110, 10.2.3), never less than what was meant.
    headers["retry-after"] = String(Math.ceil(error.retryAfterMs / 1_000));
  }
  if (error instanceof RangeNotSatisfiableError) {
    headers["content-range"] = `bytes */${error.fileBytes}`;
  }
  if (error instanceof UnsupportedContentEncodingError) {
    // What would be accepted (RFC 9110, 15.5.16).
    headers["accept-encoding"] = "identity";
  }
  if (error instanceof MethodNotAllowedError) headers["allow"] = error.allowed.join(", ");
  if (error instanceof BodyTimeoutError || error instanceof ServerStoppingError) {
    // Else the rest of a slow body would still be waited for (RFC 9110, 15.5.9), and a server that
    // ends would break the connection while the next request is on it.
    headers["connection"] = "close";
  }
  return headers;
}

/** The answer for an error that nobody expected: it says nothing of what went wrong inside. */
export function internalProblemResponse(): Response {
  return response({
    type: typeOf("internal"),
    title: titleOf("internal"),
    status: statusOf("internal"),
    code: "internal",
    detail: "The server failed to answer this request; its log says why.",
  });
}

function response(
  problem: Problem,
  members: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json(
    { ...problem, ...members },
    {
      status: problem.status,
      headers: {
        "content-type": PROBLEM_CONTENT_TYPE,
        "cache-control": "no-store",
        ...headers,
      },
    },
  );
}

/** What Elysia raises by itself, as one of our errors; undefined for what is none of Elysia's. */
function appErrorOf(error: unknown): AppError | undefined {
  if (error instanceof AppError) return error;
  if (error instanceof ValidationError) return validationError(error);
  if (error instanceof ParseError) {
    // A body parser of ours may have said more exactly what is wrong.
    return error.cause instanceof AppError
      ? error.cause
      : new UnreadableBodyError("The request body cannot be read.");
  }
  return undefined;
}

/** The answer for a request that Elysia has no route for. */
function withoutRoute({ method, url }: Request, routes: Routes): AppError | Response {
  const path = pathOf(url) ?? url;
  const allowed = allowedMethods(routes(), path);
  if (allowed.length === 0) return new RouteNotFoundError(method, path);
  if (method !== "OPTIONS") {
    if (!allowed.includes(method)) return new MethodNotAllowedError(method, path, allowed);
    // The URL has the path in its normal form; the request had another (see `exactTarget`).
    if (!path.endsWith("/")) return new RouteNotFoundError(method, path, "in another form");
    return new Response(null, {
      status: 308,
      headers: { location: path.slice(0, -1) + new URL(url).search },
    });
  }
  return new Response(null, { status: 204, headers: { allow: allowed.join(", ") } });
}

function validationError(error: ValidationError): AppError {
  const errors = error.all.flatMap((fault) =>
    "path" in fault
      ? [{ path: `${error.type}.${fault.path}`, message: fault.message ?? "does not fit" }]
      : [],
  );
  // A malformed ID names no recording: for a client that is the same as one that is not there.
  if (errors.some(({ path }) => path === "params.recordingId")) {
    return new RecordingNotFoundError(recordingIdOf(error.value));
  }
  return new InvalidRequestError(describeErrors(errors), errors);
}

function recordingIdOf(params: unknown): string {
  return typeof params === "object" && params !== null && "recordingId" in params
    ? String(params.recordingId)
    : "";
}

/** The routes of the app that the problems belong to. */
type Routes = () => readonly Route[];

interface Parts {
  readonly log: Logger;
  readonly routes: Routes;
}

/**
 * Turns whatever a route throws into a problem; logs with its stack what nobody expected. Of a path that
 * has routes it also answers the methods that it has none for: OPTIONS, and all others with 405. A
 * slash too many at its end leads to the path without it.
 */
export function problems({ log, routes }: Parts) {
  return new Elysia({ name: "problems" })
    .onError(({ error, request }) => {
      const found = error instanceof NotFoundError ? withoutRoute(request, routes) : error;
      if (found instanceof Response) return found;
      const known = appErrorOf(found);
      if (known !== undefined && known.code !== "internal") {
        log.debug({ code: known.code, method: request.method, url: request.url }, known.message);
        return problemResponse(known);
      }
      log.error({ err: error, method: request.method, url: request.url }, "request failed");
      return internalProblemResponse();
    })
    .as("global");
}
