import type { z } from "zod";
import type { BodyReader } from "./body-reader.ts";
import { parseBoundedJson } from "./bounded-json.ts";
import { boundaryOf, parseMultipart, type RequestForm } from "./multipart.ts";
import { parseRequest } from "./parse-request.ts";
import {
  UnreadableBodyError,
  UnsupportedContentEncodingError,
  UnsupportedMediaTypeError,
} from "./request-errors.ts";

const MULTIPART = "multipart/form-data";
const JSON_TYPE = "application/json";

/**
 * Largest JSON body of a route that needs no chunk in it. The longest name and `metadata` that the
 * contract allows take 97 KiB when a client escapes every character (`\u00e9`).
 */
const JSON_BODY_BYTES_MAX = 128 * 1024;

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
   * @throws UnsupportedMediaTypeError, UnsupportedContentEncodingError, UnreadableBodyError,
   * BodyTooLargeError, BodyTimeoutError, OverloadedError, InvalidRequestError
   */
  async multipart<Result>(
    request: Request,
    use: (form: RequestForm) => Promise<Result>,
  ): Promise<Result> {
    refuseEncoded(request);
    const boundary = boundaryOf(expectContentType(request, MULTIPART));
    if (boundary === undefined) {
      throw new UnreadableBodyError("The Content-Type of the multipart body names no boundary.");
    }
    return this.#reader.read(request, (body) => use(parseMultipart(body, boundary)));
  }

  /**
   * Reads a JSON body and checks it against `schema`; no body at all counts as `undefined`.
   *
   * @param bytesMax Infinity for a body that holds chunks: it may be as large as bodies may be at all
   * @throws UnsupportedMediaTypeError, UnsupportedContentEncodingError, UnreadableBodyError,
   * BodyTooLargeError, BodyTimeoutError, OverloadedError, InvalidRequestError
   */
  async json<Schema extends z.ZodType>(
    request: Request,
    schema: Schema,
    bytesMax = JSON_BODY_BYTES_MAX,
  ): Promise<z.output<Schema>> {
    refuseEncoded(request);
    const use = async (body: Uint8Array) => {
      const text = textOf(body);
      if (text !== "") expectContentType(request, JSON_TYPE);
      return parseRequest(schema, text === "" ? undefined : parseJson(text), (path) =>
        path === "" ? "body" : `body.${path}`,
      );
    };
    return this.#reader.read(request, use, bytesMax);
  }
}

/** JSON is UTF-8 (RFC 8259, 8.1). Other bytes would be replaced, and two names could become one. */
function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw new UnreadableBodyError("The request body is not UTF-8.", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return parseBoundedJson(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new UnreadableBodyError("The request body is not JSON.", { cause });
  }
}

/**
 * Bodies are read as they come. RFC 9110, 8.4: the encoding `identity` is none at all.
 *
 * @throws UnsupportedContentEncodingError
 */
function refuseEncoded({ headers }: Request): void {
  const codings = (headers.get("content-encoding") ?? "").split(",").map((coding) => coding.trim());
  const isPlain = codings.every((coding) => coding === "" || coding.toLowerCase() === "identity");
  if (!isPlain) throw new UnsupportedContentEncodingError(codings.join(", "));
}

function expectContentType(request: Request, expected: string): string {
  const contentType = request.headers.get("content-type");
  const essence = contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (contentType === null || essence !== expected) {
    throw new UnsupportedMediaTypeError(expected, contentType);
  }
  return contentType;
}
