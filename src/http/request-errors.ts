import { AppError } from "../recording/errors.ts";
import type { Problem } from "../contract/problem.ts";

/** Values of a request that do not fit the contract. */
export class InvalidRequestError extends AppError {
  readonly code = "invalid-request";
  /** What does not fit, and where it stands; empty when `message` says it all. */
  readonly errors: NonNullable<Problem["errors"]>;

  constructor(message: string, errors: NonNullable<Problem["errors"]> = []) {
    super(message);
    this.errors = errors;
  }
}

/** A body that cannot be read as what its content type says: cut off, or broken. */
export class UnreadableBodyError extends AppError {
  readonly code = "unreadable-body";
}

/** A body that stood still for too long, or came too slowly. */
export class BodyTimeoutError extends AppError {
  readonly code = "body-timeout";

  constructor(waitedMs: number) {
    super(`The request body was not there after ${Math.round(waitedMs)} ms.`);
  }
}

/** A body of another content type than the route takes. */
export class UnsupportedMediaTypeError extends AppError {
  readonly code = "unsupported-media-type";

  constructor(expected: string, found: string | null) {
    super(
      found === null
        ? `The request has no Content-Type; it must be ${expected}.`
        : `The Content-Type must be ${expected}, not ${JSON.stringify(found)}.`,
    );
  }
}

/** A body that is compressed, or encoded otherwise. */
export class UnsupportedContentEncodingError extends AppError {
  readonly code = "unsupported-content-encoding";

  constructor(found: string) {
    super(`The body must be sent as it is, without the Content-Encoding ${JSON.stringify(found)}.`);
  }
}

/** A body over the limit of bytes for its route. */
export class BodyTooLargeError extends AppError {
  readonly code = "chunk-too-large";

  constructor(bytesMax: number) {
    super(`The request body is larger than the limit of ${bytesMax} bytes.`);
  }
}

/** A request without a Host header, or with one that is not `host[:port]`. */
export class InvalidHostError extends AppError {
  readonly code = "invalid-host";

  constructor(host: string | null) {
    super(
      host === null
        ? "The request has no Host header."
        : `The Host header must be one host, with or without a port, not ${JSON.stringify(host)}.`,
    );
  }
}

/** A request whose Host header names something other than a loopback address. */
export class MisdirectedRequestError extends AppError {
  readonly code = "misdirected-request";

  constructor(host: string) {
    super(
      `The Host header is ${JSON.stringify(host)}, but this server answers only to loopback ` +
        "addresses: localhost, 127.0.0.1 or [::1], with any port. A proxy in front of it must send " +
        "such a Host (nginx: proxy_set_header Host 127.0.0.1:3000;).",
    );
  }
}

/** A request that a page sent whose origin may not use this server, or may not use it in this way. */
export class ForeignOriginError extends AppError {
  readonly code = "foreign-origin";

  /** @param origin null where allowing one would not help */
  constructor(origin: string | null) {
    super(
      origin === null || origin === "null"
        ? "A page of another origin sent this request, and nothing in it says that it may. Pages of " +
            "origins in ALLOWED_ORIGINS may fetch, and show media by elements with crossorigin; no page " +
            "may show this server in a frame."
        : `Pages of the origin ${JSON.stringify(origin)} may not use this server. To allow them, ` +
            `add ${origin} to ALLOWED_ORIGINS and restart the server.`,
    );
  }
}

/** No route has this path. */
export class RouteNotFoundError extends AppError {
  readonly code = "not-found";

  /** @param form of the path in the request, if it is not the one in which it has a route */
  constructor(method: string, path: string, form?: "in another form") {
    super(
      form === undefined
        ? `There is no ${method} ${path} here; /openapi lists what there is.`
        : `${method} ${path} takes no other spelling of its path, such as with dot segments or ` +
            "backslashes. /openapi lists what there is.",
    );
  }
}

/** The path has routes, but none for this method. */
export class MethodNotAllowedError extends AppError {
  readonly code = "method-not-allowed";
  /** The methods that it has routes for (RFC 9110, 10.2.1). */
  readonly allowed: readonly string[];

  constructor(method: string, path: string, allowed: readonly string[]) {
    super(`${path} does not take ${method}, only ${allowed.join(", ")}.`);
    this.allowed = allowed;
  }
}

/** The file is not the version that the client's conditions ask for. */
export class PreconditionFailedError extends AppError {
  readonly code = "precondition-failed";

  constructor(header: "If-Match" | "If-Unmodified-Since") {
    super(`The file is another version than the one that ${header} names.`);
  }
}

/** The request asks for bytes that the file does not have. */
export class RangeNotSatisfiableError extends AppError {
  readonly code = "range-not-satisfiable";
  /** Size of the whole file. */
  readonly fileBytes: number;

  constructor(fileBytes: number) {
    super(`The file has ${fileBytes} bytes; none of the range that was asked for is among them.`);
    this.fileBytes = fileBytes;
  }
}
