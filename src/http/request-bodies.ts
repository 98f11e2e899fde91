import type { z } from "zod";
import { OverloadedError } from "../recording/errors.ts";
import { OVERLOADED_RETRY_AFTER_MS } from "../recording/limits.ts";
import { parseRequest } from "./parse-request.ts";
import {
  BodyTooLargeError,
  UnreadableBodyError,
  UnsupportedMediaTypeError,
} from "./request-errors.ts";

/** Bounds on request bodies. */
export interface RequestBodyLimits {
  /** Largest body of one request. */
  readonly requestBytesMax: number;
  /** Bytes of all bodies that are in memory at once; more is refused with `overloaded`. */
  readonly totalRequestBytesMax: number;
}

/** A body that is within the limits: the request itself, or what was read of it. */
type BoundedBody = Request | Response;

/** A multipart body that was read. */
export type RequestForm = Awaited<ReturnType<Request["formData"]>>;

const MULTIPART = "multipart/form-data";
const JSON_TYPE = "application/json";

/**
 * Reads request bodies within limits. Bun's own limit cannot serve for that: it answers with an
 * empty 413 without CORS headers, which to a page on another origin looks like a broken network.
 */
export class RequestBodies {
  readonly #limits: RequestBodyLimits;
  #heldBytes = 0;

  constructor(limits: RequestBodyLimits) {
    this.#limits = limits;
  }

  /**
   * Reads a multipart body and gives it to `use`; its bytes count as held until `use` is done.
   *
   * @throws UnsupportedMediaTypeError, UnreadableBodyError, BodyTooLargeError, OverloadedError
   */
  multipart<Result>(
    request: Request,
    use: (form: RequestForm) => Promise<Result>,
  ): Promise<Result> {
    const contentType = expectContentType(request, MULTIPART);
    if (!/;\s*boundary=/i.test(contentType)) {
      throw new UnreadableBodyError("The Content-Type of the multipart body names no boundary.");
    }
    return this.#hold(request, async (body) => {
      const form = await readable(body.formData(), "The multipart body is cut off or broken.");
      return use(form);
    });
  }

  /**
   * Reads a JSON body and checks it against `schema`; no body at all counts as `undefined`.
   *
   * @throws UnsupportedMediaTypeError, UnreadableBodyError, BodyTooLargeError, OverloadedError,
   * InvalidRequestError
   */
  json<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
    return this.#hold(request, async (body) => {
      const text = await readable(body.text(), "The request body is cut off.");
      if (text !== "") expectContentType(request, JSON_TYPE);
      return parseRequest(schema, text === "" ? undefined : parseJson(text), (path) =>
        path === "" ? "body" : `body.${path}`,
      );
    });
  }

  async #hold<Result>(
    request: Request,
    use: (body: BoundedBody) => Promise<Result>,
  ): Promise<Result> {
    const declared = request.headers.get("content-length");
    let heldBytes = 0;
    const hold = (bytes: number) => {
      if (heldBytes + bytes > this.#limits.requestBytesMax) {
        throw new BodyTooLargeError(this.#limits.requestBytesMax);
      }
      if (this.#heldBytes + bytes > this.#limits.totalRequestBytesMax) {
        throw new OverloadedError(
          "Too many request bodies are being read at once.",
          OVERLOADED_RETRY_AFTER_MS,
        );
      }
      heldBytes += bytes;
      this.#heldBytes += bytes;
    };
    try {
      if (declared !== null) {
        // HTTP's framing keeps a body from being longer than it declares.
        hold(Number(declared));
        return await use(request);
      }
      return await use(await readCounted(request, hold));
    } finally {
      this.#heldBytes -= heldBytes;
    }
  }
}

/** Reads a body of unknown length (chunked transfer), as long as `hold` lets it. */
async function readCounted(request: Request, hold: (bytes: number) => void): Promise<Response> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  if (request.body !== null) {
    const reader = request.body.getReader();
    for (;;) {
      const { done, value } = await readable(reader.read(), "The request body is cut off.");
      if (done) break;
      hold(value.byteLength);
      parts.push(value);
    }
  }
  const contentType = request.headers.get("content-type") ?? "";
  return new Response(new Blob(parts), { headers: { "content-type": contentType } });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UnreadableBodyError("The request body is not JSON.", { cause });
  }
}

function expectContentType(request: Request, expected: string): string {
  const contentType = request.headers.get("content-type");
  const essence = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (contentType === null || essence !== expected) {
    throw new UnsupportedMediaTypeError(expected, contentType);
  }
  return contentType;
}

/** A body's promise rejects only for what is wrong with the body: broken, cut off, aborted. */
async function readable<T>(promise: Promise<T>, message: string): Promise<T> {
  try {
    return await promise;
  } catch (cause) {
    throw new UnreadableBodyError(message, { cause });
  }
}
