import { open, stat } from "node:fs/promises";
import { Elysia } from "elysia";
import { z } from "zod";
import type { Catalog, TrackKey } from "../recording/ports.ts";
import { parseRange, type ByteRange } from "./byte-range.ts";
import { isNotModified, isRangeApplicable } from "./conditional-request.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { fileBlocks, streamOf } from "./file-blocks.ts";
import { operation } from "./operation-detail.ts";
import { RangeNotSatisfiableError } from "./request-errors.ts";
import { findRecording } from "./recording-routes.ts";
import { trackParamsSchema } from "./route-params.ts";
import { findPublishedTrack } from "./track-lookup.ts";

/** Where published MP4s lie. */
export interface MediaPaths {
  mediaPath(key: TrackKey): string;
}

interface Parts {
  readonly catalog: Catalog;
  readonly paths: MediaPaths;
}

/** A published MP4 as it is at this moment. */
interface MediaFile {
  readonly path: string;
  readonly bytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly disposition: string;
}

const MEDIA_TYPE = "video/mp4";

/** `?download`, with any value or none, offers to save a file instead of showing it. */
export const downloadQuerySchema = z.object({ download: z.string().optional() });

/** Serves the MP4s of tracks, whole or in parts, to players and to downloads that are resumed. */
export function mediaRoutes({ catalog, paths }: Parts) {
  const find = async (key: TrackKey, download: string | undefined): Promise<MediaFile> => {
    const { record } = await findPublishedTrack(catalog, key);
    const path = paths.mediaPath(key);
    const { size, mtimeMs } = await stat(path).catch(async (error: unknown) => {
      // A file that is gone is so because the recording was deleted just now, or for no reason.
      await findRecording(catalog, key.recordingId);
      throw error;
    });
    const fileName = safeFileName([record.name ?? "", key.participantId, key.trackId], "mp4");
    return {
      path,
      bytes: size,
      // A better MP4 takes the place of the one before as a whole, with a time of its own.
      etag: `"${size.toString(36)}-${mtimeMs}"`,
      lastModifiedMs: mtimeMs,
      disposition: contentDisposition(download === undefined ? "inline" : "attachment", fileName),
    };
  };

  return new Elysia({ name: "media-routes" })
    .get(
      MEDIA_ROUTE,
      async ({ params, query, request }) => answer(await find(params, query.download), request),
      {
        params: trackParamsSchema,
        query: downloadQuerySchema,
        detail: operation({
          tag: "Media",
          summary: "Play or download a track's MP4",
          description: "`?download` offers it as a file to save. Ranges and conditions are heeded.",
          answers: {
            200: { means: "The MP4", body: { type: MEDIA_TYPE } },
            206: { means: "The part that was asked for", body: { type: MEDIA_TYPE } },
            304: { means: "The client's copy is still right" },
          },
          problems: [404, 416, 422],
        }),
      },
    )
    .head(
      MEDIA_ROUTE,
      async ({ params, query, request }) => {
        const file = await find(params, query.download);
        return isNotModified(request.headers, file)
          ? notModified(file)
          : new Response(null, {
              headers: { ...headersOf(file), "content-length": String(file.bytes) },
            });
      },
      { params: trackParamsSchema, query: downloadQuerySchema, detail: { hide: true } },
    );
}

const MEDIA_ROUTE =
  "/api/recordings/:recordingId/participants/:participantId/tracks/:trackId/media.mp4";

async function answer(file: MediaFile, { headers }: Request): Promise<Response> {
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

// Bun opens a file for an answer before it begins with it and keeps it open to the end: a download
// goes on when the MP4 is replaced or deleted meanwhile.

function wholeFile(file: MediaFile): Response {
  return new Response(Bun.file(file.path), { headers: headersOf(file) });
}

function partOfFile(file: MediaFile, { fromByte, toByte }: ByteRange): Response {
  return new Response(Bun.file(file.path).slice(fromByte, toByte + 1, MEDIA_TYPE), {
    status: 206,
    headers: {
      ...headersOf(file),
      "content-range": `bytes ${fromByte}-${toByte}/${file.bytes}`,
    },
  });
}

/** Given a file, Bun would answer the request's Range header by itself. */
async function wholeFileWithoutRanges(file: MediaFile): Promise<Response> {
  const handle = await open(file.path);
  const body = streamOf(fileBlocks(handle, file.bytes), () => handle.close());
  return new Response(body, { headers: headersOf(file) });
}

function notModified({ etag, lastModifiedMs }: MediaFile): Response {
  return new Response(null, {
    status: 304,
    headers: { etag, "last-modified": new Date(lastModifiedMs).toUTCString() },
  });
}

function headersOf({ etag, lastModifiedMs, disposition }: MediaFile): Record<string, string> {
  return {
    "content-type": MEDIA_TYPE,
    "content-disposition": disposition,
    "accept-ranges": "bytes",
    etag,
    "last-modified": new Date(lastModifiedMs).toUTCString(),
    // A better MP4 can replace this one: copies are kept, and asked about.
    "cache-control": "private, no-cache",
    "x-content-type-options": "nosniff",
  };
}
