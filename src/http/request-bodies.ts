import type { z } from "zod";
import type { BodyReader } from "./body-reader.ts";
import { boundaryOf, parseMultipart, type RequestForm } from "./multipart.ts";
import { parseRequest } from "./parse-request.ts";
import { UnreadableBodyError, UnsupportedMediaTypeError } from "./request-errors.ts";

const MULTIPART = "multipart/form-data";
const JSON_TYPE = "application/json";

/**
 * Reads request bodies within limits. Bun's own limit cannot serve for that: it answers with an
 * empty 413 without CORS headers, which to a page on another origin looks like a broken network.
 */
export class RequestBodies {
  readonly #reader: BodyReader;

  constructor(reader: BodyReader) {
    this.#reader = reader;
  }

  /**
   * Reads a multipart body and gives it to `use`; its bytes count as held until `use` is done.
   *
   * @throws UnsupportedMediaTypeError, UnreadableBodyError, BodyTooLargeError, BodyTimeoutError,
   * OverloadedError, InvalidRequestError
   */
  async multipart<Result>(
    request: Request,
    use: (form: RequestForm) => Promise<Result>,
  ): Promise<Result> {
    const boundary = boundaryOf(expectContentType(request, MULTIPART));
    if (boundary === undefined) {
      throw new UnreadableBodyError("The Content-Type of the multipart body names no boundary.");
    }
    return this.#reader.read(request, (body) => use(parseMultipart(body, boundary)));
  }

  /**
   * Reads a JSON body and checks it against `schema`; no body at all counts as `undefined`.
   *
   * @throws UnsupportedMediaTypeError, UnreadableBodyError, BodyTooLargeError, BodyTimeoutError,
   * OverloadedError, InvalidRequestError
   */
  json<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
    return this.#reader.read(request, async (body) => {
      const text = new TextDecoder().decode(body);
      if (text !== "") expectContentType(request, JSON_TYPE);
      return parseRequest(schema, text === "" ? undefined : parseJson(text), (path) =>
        path === "" ? "body" : `body.${path}`,
      );
    });
  }
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
