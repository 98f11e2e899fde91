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

/** No route has this path and method. */
export class RouteNotFoundError extends AppError {
  readonly code = "not-found";

  constructor(method: string, path: string) {
    super(`There is no ${method} ${path} here; /openapi lists what there is.`);
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
