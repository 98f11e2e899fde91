import { stat } from "node:fs/promises";
import { type Context, Elysia } from "elysia";
import { waveformSchema } from "../contract/waveform.ts";
import { MediaNotReadyError } from "../recording/errors.ts";
import type { Catalog, MediaRecord, TrackKey } from "../recording/ports.ts";
import { systemErrorCode } from "../storage/storage-fault.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { type ServedFile, answerFile, answerFileHead, etagOf } from "./file-answer.ts";
import { jsonOutput, operation } from "./operation-detail.ts";
import { trackParamsSchema } from "./route-params.ts";
import { findPublishedTrack } from "./track-lookup.ts";

/** Where posters and waveforms lie. */
export interface ExtrasPaths {
  posterPath(key: TrackKey): string;
  waveformPath(key: TrackKey): string;
}

/** Makes them; see `TrackExtras`. */
export interface ExtrasMaker {
  /** Gives whether they are on their way. */
  requestMissing(key: TrackKey): boolean;
}

interface Parts {
  readonly catalog: Catalog;
  readonly paths: ExtrasPaths;
  readonly extras: ExtrasMaker;
}

/** One kind of file beside an MP4. */
interface Extra {
  /** For people. */
  readonly name: "poster" | "waveform";
  readonly mediaType: string;
  readonly extension: string;
  readonly pathOf: (paths: ExtrasPaths, key: TrackKey) => string;
  /** Whether a track has what it is made of; that is pictures, or sound. */
  readonly hasSource: (media: MediaRecord) => boolean;
  readonly sourceName: "pictures" | "sound";
}

const POSTER: Extra = {
  name: "poster",
  mediaType: "image/jpeg",
  extension: "jpg",
  pathOf: (paths, key) => paths.posterPath(key),
  hasSource: ({ videoCodec }) => videoCodec !== null,
  sourceName: "pictures",
};

const WAVEFORM: Extra = {
  name: "waveform",
  mediaType: "application/json",
  extension: "json",
  pathOf: (paths, key) => paths.waveformPath(key),
  hasSource: ({ audioCodec }) => audioCodec !== null,
  sourceName: "sound",
};

const TRACK_ROUTE = "/api/recordings/:recordingId/participants/:participantId/tracks/:trackId";

/** Serves what is shown beside tracks: a poster and the loudness over time. */
export function trackExtrasRoutes(parts: Parts) {
  return new Elysia({ name: "track-extras-routes" })
    .get(
      `${TRACK_ROUTE}/poster.jpg`,
      ({ params, request, set }) => serve(parts, POSTER, params, { request, set }),
      {
        params: trackParamsSchema,
        detail: operation({
          tag: "Media",
          summary: "A picture of a track",
          description:
            "It is made after the MP4 is published: until then, and for a track without pictures, 404.",
          answers: {
            200: { means: "A JPEG, at most 640 pixels wide", body: { type: POSTER.mediaType } },
            206: { means: "The part that was asked for", body: { type: POSTER.mediaType } },
            304: { means: "The client's copy is still right" },
          },
          problems: [404, 412, 416, 422],
        }),
      },
    )
    .get(
      `${TRACK_ROUTE}/waveform.json`,
      ({ params, request, set }) => serve(parts, WAVEFORM, params, { request, set }),
      {
        params: trackParamsSchema,
        detail: operation({
          tag: "Media",
          summary: "How loud a track is over its time",
          description:
            "It is made after the MP4 is published: until then, and for a track without sound, 404.",
          answers: {
            200: { means: "The waveform", body: jsonOutput(waveformSchema) },
            206: { means: "The part that was asked for", body: { type: WAVEFORM.mediaType } },
            304: { means: "The client's copy is still right" },
          },
          problems: [404, 412, 416, 422],
        }),
      },
    );
}

async function serve(
  { catalog, paths, extras }: Parts,
  extra: Extra,
  key: TrackKey,
  { request, set }: Pick<Context, "request" | "set">,
): Promise<Response> {
  const { record, media } = await findPublishedTrack(catalog, key);
  const { name, mediaType, sourceName } = extra;
  const whose = `Track ${JSON.stringify(key.trackId)} of ${JSON.stringify(key.participantId)}`;
  if (!extra.hasSource(media)) {
    throw new MediaNotReadyError(`${whose} has no ${name}, since it has no ${sourceName}.`);
  }
  const path = extra.pathOf(paths, key);
  const found = await stat(path).catch((error: unknown) => {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) {
    throw new MediaNotReadyError(
      extras.requestMissing(key)
        ? `${whose} has no ${name} yet; it is being made.`
        : `${whose} has no ${name}: it could not be made.`,
    );
  }
  const fileName = safeFileName(
    [record.name ?? "", key.participantId, key.trackId, name],
    extra.extension,
  );
  const file: ServedFile = {
    path,
    bytes: found.size,
    mediaType,
    etag: etagOf(found),
    lastModifiedMs: found.mtimeMs,
    disposition: contentDisposition("inline", fileName),
  };
  return request.method === "HEAD"
    ? answerFileHead(file, request)
    : answerFile(file, { request, set });
}
