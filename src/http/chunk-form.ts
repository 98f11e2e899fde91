import { z } from "zod";
import {
  CHUNKS_PER_REQUEST_MAX,
  chunkUploadFieldsSchema,
  epochMsSchema,
  sha256HexSchema,
  type ChunkUploadFields,
} from "../contract/chunks.ts";
import { type Mark, marksSchema } from "../contract/marks.ts";
import { parseBoundedJson } from "./bounded-json.ts";
import type { RequestForm } from "./multipart.ts";
import { parseRequest } from "./parse-request.ts";
import { InvalidRequestError } from "./request-errors.ts";

/** A chunk of an upload with what the client said about it. */
export interface UploadedChunk {
  readonly payload: Uint8Array;
  /** Hexadecimal; undefined when the client does not say. */
  readonly claimedSha256: string | undefined;
  /** On the server's clock; null when the client does not say. */
  readonly capturedAtMs: number | null;
  /** Empty when the client does not say. */
  readonly marks: readonly Mark[];
}

const CHUNK_NAME = /^chunk_(0|[1-9]\d{0,8})$/;

const chunkFieldsSchema = z.object({
  sha256: sha256HexSchema.optional(),
  capturedAt: epochMsSchema.optional(),
});

/** Bytes that are not UTF-8 would be replaced, and two participants could become one. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Longest JSON of a chunk's marks: the longest that the contract allows takes 31 KB, escaped. */
const MARKS_JSON_LENGTH_MAX = 64 * 1024;

/** Marks as the text of their JSON. */
const marksTextSchema = z
  .string()
  .max(MARKS_JSON_LENGTH_MAX)
  .transform((text, context): unknown => {
    try {
      return parseBoundedJson(text);
    } catch (error) {
      const detail = error instanceof InvalidRequestError ? error.message : String(error);
      context.addIssue(`must be a JSON array of marks (${detail})`);
      return z.NEVER;
    }
  })
  .pipe(marksSchema);

/**
 * The parts `chunk_0`, `chunk_1`, ... of a form as bytes, in order: views into the body.
 *
 * @throws InvalidRequestError when there is none, one is missing in between, one is no file or
 * comes twice, or there are more than CHUNKS_PER_REQUEST_MAX.
 */
export function chunkPayloads(form: RequestForm): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  let count = 0;
  for (const [name, parts] of form) {
    const match = CHUNK_NAME.exec(name);
    const [part] = parts;
    if (match === null || part === undefined) continue;
    count += 1;
    if (!part.isFile) throw new InvalidRequestError(`${name} must be a file.`);
    const index = Number(match[1]);
    if (index >= CHUNKS_PER_REQUEST_MAX) {
      throw new InvalidRequestError(
        `A request may hold ${CHUNKS_PER_REQUEST_MAX} chunks, so there can be no ${name}.`,
      );
    }
    if (parts.length > 1) throw new InvalidRequestError(`${name} is there twice.`);
    payloads[index] = part.bytes;
  }
  if (count === 0) throw new InvalidRequestError("There is no chunk: the first must be chunk_0.");
  if (count !== payloads.length) {
    // A sparse array: its holes are those of the numbering.
    const hole = payloads.findIndex((payload) => payload === undefined);
    throw new InvalidRequestError(
      `chunk_${hole} is missing: the chunks must be numbered from 0 without a hole.`,
    );
  }
  return payloads;
}

/**
 * A chunk upload as the contract describes it. Fields that it does not name are ignored.
 *
 * @throws InvalidRequestError
 */
export function readChunkForm(form: RequestForm): {
  fields: ChunkUploadFields;
  chunks: UploadedChunk[];
} {
  const fields = parseRequest(
    chunkUploadFieldsSchema,
    {
      participantId: textOf(form, "participantId"),
      trackId: textOf(form, "trackId"),
      segmentId: textOf(form, "segmentId"),
      sequence: numberTextOf(form, "sequence"),
      mimeType: textOf(form, "mimeType"),
    },
    (path) => `body.${path}`,
  );
  const payloads = chunkPayloads(form);
  const chunks = payloads.map((payload, index) => {
    const said = parseRequest(
      chunkFieldsSchema,
      {
        sha256: textOf(form, `sha256_${index}`),
        capturedAt: numberTextOf(form, `capturedAt_${index}`),
      },
      (path) => `body.${path}_${index}`,
    );
    const capturedAtMs = said.capturedAt ?? null;
    const marks = marksOf(form, `marks_${index}`);
    return { payload, claimedSha256: said.sha256, capturedAtMs, marks };
  });
  return { fields, chunks };
}

/** The marks in a text field; none when it is not there or empty. */
function marksOf(form: RequestForm, name: string): Mark[] {
  const text = textOf(form, name)?.trim() ?? "";
  if (text === "") return [];
  return parseRequest(marksTextSchema, text, (path) =>
    path === "" ? `body.${name}` : `body.${name}.${path}`,
  );
}

/** A text field; undefined when it is not there. */
export function textOf(form: RequestForm, name: string): string | undefined {
  const parts = form.get(name);
  const part = parts?.[0];
  if (parts === undefined || part === undefined) return undefined;
  if (parts.length > 1) throw new InvalidRequestError(`${name} is there ${parts.length} times.`);
  if (part.isFile) throw new InvalidRequestError(`${name} must be text, not a file.`);
  try {
    return utf8.decode(part.bytes);
  } catch {
    throw new InvalidRequestError(`${name} must be UTF-8.`);
  }
}

/** A text field for a number; undefined when it is empty, as when it is not there. */
function numberTextOf(form: RequestForm, name: string): string | undefined {
  return textOf(form, name) || undefined;
}
