import { z } from "zod";
import {
  CHUNKS_PER_REQUEST_MAX,
  chunkUploadFieldsSchema,
  epochMsSchema,
  sha256HexSchema,
  type ChunkUploadFields,
} from "../contract/chunks.ts";
import { parseRequest } from "./parse-request.ts";
import type { RequestForm } from "./request-bodies.ts";
import { InvalidRequestError } from "./request-errors.ts";

/** A chunk of an upload with what the client said about it. */
export interface UploadedChunk {
  readonly payload: Uint8Array;
  /** Hexadecimal; undefined when the client does not say. */
  readonly claimedSha256: string | undefined;
  /** On the server's clock; null when the client does not say. */
  readonly capturedAtMs: number | null;
}

const CHUNK_NAME = /^chunk_(0|[1-9]\d{0,8})$/;

const chunkFieldsSchema = z.object({
  sha256: sha256HexSchema.optional(),
  capturedAt: epochMsSchema.optional(),
});

/**
 * The parts `chunk_0`, `chunk_1`, ... of a form as bytes, in order.
 *
 * @throws InvalidRequestError when there is none, one is missing in between, one is no file or
 * comes twice, or there are more than CHUNKS_PER_REQUEST_MAX.
 */
export async function chunkPayloads(form: RequestForm): Promise<Uint8Array[]> {
  const files = chunkFiles(form);
  return Promise.all(files.map(async (file) => new Uint8Array(await file.arrayBuffer())));
}

/**
 * A chunk upload as the contract describes it. Fields that it does not name are ignored.
 *
 * @throws InvalidRequestError
 */
export async function readChunkForm(
  form: RequestForm,
): Promise<{ fields: ChunkUploadFields; chunks: UploadedChunk[] }> {
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
  const payloads = await chunkPayloads(form);
  const chunks = payloads.map((payload, index) => {
    const said = parseRequest(
      chunkFieldsSchema,
      {
        sha256: textOf(form, `sha256_${index}`),
        capturedAt: numberTextOf(form, `capturedAt_${index}`),
      },
      (path) => `body.${path}_${index}`,
    );
    return { payload, claimedSha256: said.sha256, capturedAtMs: said.capturedAt ?? null };
  });
  return { fields, chunks };
}

function chunkFiles(form: RequestForm): File[] {
  const files: File[] = [];
  let count = 0;
  for (const [name, value] of form) {
    const match = CHUNK_NAME.exec(name);
    if (match === null) continue;
    count += 1;
    if (typeof value === "string") throw new InvalidRequestError(`${name} must be a file.`);
    const index = Number(match[1]);
    if (index >= CHUNKS_PER_REQUEST_MAX) {
      throw new InvalidRequestError(
        `A request may hold ${CHUNKS_PER_REQUEST_MAX} chunks, so there can be no ${name}.`,
      );
    }
    if (files[index] !== undefined) throw new InvalidRequestError(`${name} is there twice.`);
    files[index] = value;
  }
  if (count === 0) throw new InvalidRequestError("There is no chunk: the first must be chunk_0.");
  if (count !== files.length) {
    // A sparse array: its holes are those of the numbering.
    const hole = files.findIndex((file) => file === undefined);
    throw new InvalidRequestError(
      `chunk_${hole} is missing: the chunks must be numbered from 0 without a hole.`,
    );
  }
  return files;
}

/** A text field; undefined when it is not there. */
export function textOf(form: RequestForm, name: string): string | undefined {
  const values = form.getAll(name);
  if (values.length > 1) throw new InvalidRequestError(`${name} is there ${values.length} times.`);
  const [value] = values;
  if (value !== undefined && typeof value !== "string") {
    throw new InvalidRequestError(`${name} must be text, not a file.`);
  }
  return value;
}

/** A text field for a number: nothing is no number, though `Number("")` is 0. */
function numberTextOf(form: RequestForm, name: string): string | undefined {
  return textOf(form, name)?.trim() || undefined;
}
