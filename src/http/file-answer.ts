import { open } from "node:fs/promises";
import type { Context } from "elysia";
import { parseRange, type ByteRange } from "./byte-range.ts";
import { isNotModified, isRangeApplicable } from "./conditional-request.ts";
import { fileBlocks, streamOf } from "./file-blocks.ts";
import { RangeNotSatisfiableError } from "./request-errors.ts";

/** A published file as it is at this moment. */
export interface ServedFile {
  readonly path: string;
  readonly bytes: number;
  readonly mediaType: string;
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** The header Content-Disposition. */
  readonly disposition: string;
}

/** A strong entity tag: a file is replaced as a whole, and the new one has a time of its own. */
export function etagOf({ size, mtimeMs }: { size: number; mtimeMs: number }): string {
  return `"${size.toString(36)}-${mtimeMs}"`;
}

/**
 * Answers a GET for a file, whole or in part, as its range and conditions ask for. The headers of every
 * answer, which hooks have put into `set`, are in the answer already. Elysia would else make a new one
 * of its body: Bun then notes the file's length, opens the file by its path some time later, and cuts a
 * longer one that was published meanwhile to that length.
 *
 * @throws RangeNotSatisfiableError, PreconditionFailedError
 */
export async function answerFile(
  file: ServedFile,
  { request, set }: Pick<Context, "request" | "set">,
): Promise<Response> {
  const answer = await fileAnswer(file, request);
  for (const [name, value] of Object.entries(set.headers)) {
    if (!answer.headers.has(name)) answer.headers.set(name, String(value));
  }
  set.headers = {};
  return answer;
}

async function fileAnswer(file: ServedFile, { headers }: Request): Promise<Response> {
  if (isNotModified(headers, file)) return notModified(file);
  const rangeHeader = headers.get("range");
  if (rangeHeader === null) return wholeFile(file);
  // A range that does not count is as good as none (RFC 9110, 14.2).
  if (!isRangeApplicable(headers, file)) return wholeFileWithoutRanges(file);
  const wanted = parseRange(rangeHeader, file.bytes);
  switch (wanted.kind) {
    case "whole":
      return wholeFileWithoutRanges(file);
    case "part":
      return partOfFile(file, wanted.range);
    case "unsatisfiable":
      throw new RangeNotSatisfiableError(file.bytes);
  }
}

/**
 * Answers a HEAD for a file.
 *
 * @throws PreconditionFailedError
 */
export function answerFileHead(file: ServedFile, { headers }: Request): Response {
  return isNotModified(headers, file)
    ? notModified(file)
    : new Response(null, {
        headers: { ...headersOf(file), "content-length": String(file.bytes) },
      });
}

// Bun opens a file for an answer before it begins with it and keeps it open to the end: a download
// goes on when the file is replaced or deleted meanwhile.

function wholeFile(file: ServedFile): Response {
  return new Response(Bun.file(file.path), { headers: headersOf(file) });
}

function partOfFile(file: ServedFile, { fromByte, toByte }: ByteRange): Response {
  return new Response(Bun.file(file.path).slice(fromByte, toByte + 1, file.mediaType), {
    status: 206,
    headers: {
      ...headersOf(file),
      "content-range": `bytes ${fromByte}-${toByte}/${file.bytes}`,
    },
  });
}

/** Given a file, Bun would answer the request's Range header by itself. */
async function wholeFileWithoutRanges(file: ServedFile): Promise<Response> {
  const handle = await open(file.path);
  const body = streamOf(fileBlocks(handle, file.bytes), () => handle.close());
  return new Response(body, { headers: headersOf(file) });
}

function notModified(file: ServedFile): Response {
  return new Response(null, { status: 304, headers: cachingHeadersOf(file) });
}

function headersOf(file: ServedFile): Record<string, string> {
  return {
    "content-type": file.mediaType,
    "content-disposition": file.disposition,
    "accept-ranges": "bytes",
    ...cachingHeadersOf(file),
    "x-content-type-options": "nosniff",
  };
}

function cachingHeadersOf({ etag, lastModifiedMs }: ServedFile): Record<string, string> {
  return {
    etag,
    "last-modified": new Date(lastModifiedMs).toUTCString(),
    // A better file can replace this one: copies are kept, and asked about.
    "cache-control": "private, no-cache",
  };
}
