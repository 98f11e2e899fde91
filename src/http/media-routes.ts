import { stat } from "node:fs/promises";
import { Elysia } from "elysia";
import { z } from "zod";
import type { Catalog, TrackKey } from "../recording/ports.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { type ServedFile, answerFile, answerFileHead, etagOf } from "./file-answer.ts";
import { operation } from "./operation-detail.ts";
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

const MEDIA_TYPE = "video/mp4";

/** `?download`, with any value or none, offers to save a file instead of showing it. */
export const downloadQuerySchema = z.object({ download: z.string().optional() });

/** Serves the MP4s of tracks, whole or in parts, to players and to downloads that are resumed. */
export function mediaRoutes({ catalog, paths }: Parts) {
  const find = async (key: TrackKey, download: string | undefined): Promise<ServedFile> => {
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
      mediaType: MEDIA_TYPE,
      etag: etagOf({ size, mtimeMs }),
      lastModifiedMs: mtimeMs,
      disposition: contentDisposition(download === undefined ? "inline" : "attachment", fileName),
    };
  };

  return new Elysia({ name: "media-routes" })
    .get(
      MEDIA_ROUTE,
      async ({ params, query, request, set }) =>
        answerFile(await find(params, query.download), { request, set }),
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
          problems: [404, 412, 416, 422],
        }),
      },
    )
    .head(
      MEDIA_ROUTE,
      async ({ params, query, request }) =>
        answerFileHead(await find(params, query.download), request),
      { params: trackParamsSchema, query: downloadQuerySchema, detail: { hide: true } },
    );
}

const MEDIA_ROUTE =
  "/api/recordings/:recordingId/participants/:participantId/tracks/:trackId/media.mp4";
