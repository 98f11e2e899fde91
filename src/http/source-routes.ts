import { Elysia } from "elysia";
import type { Logger } from "pino";
import { z } from "zod";
import { segmentIdSchema, type SegmentId } from "../contract/ids.ts";
import type { Container } from "../recording/container.ts";
import { containerOfHeader, containerOfMimeType } from "../recording/container.ts";
import { SegmentNotFoundError, TrackNotFoundError } from "../recording/errors.ts";
import type { ChunkStore, SegmentReader, TrackKey } from "../recording/ports.ts";
import type { LiveStream, LiveView } from "../live/live-view.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import type { ViewerBytes } from "../recording/viewer-bytes.ts";
import { contentDisposition, safeFileName } from "./content-disposition.ts";
import { streamOf } from "./file-blocks.ts";
import { downloadQuerySchema } from "./media-routes.ts";
import { operation } from "./operation-detail.ts";
import { segmentsOf } from "./recording-view.ts";
import { trackParamsSchema } from "./route-params.ts";

interface Parts {
  readonly engine: RecordingEngine;
  readonly store: ChunkStore;
  readonly live: LiveView;
  readonly viewerBytes: ViewerBytes;
  readonly log: Logger;
}

const SOURCE_ROUTE =
  "/api/recordings/:recordingId/participants/:participantId/tracks/:trackId/source";

/** Much longer than the live view waits between two signs of life of its own. */
const LIVE_IDLE_SECONDS = 60;

/** A reader of the stored bytes has one chunk, and the next one is read ahead. */
const CHUNKS_HELD = 2;

const sourceQuerySchema = downloadQuerySchema.extend({
  /** The newest segment of the track when it is not given. */
  segmentId: segmentIdSchema.optional(),
  /** Whatever it says: follows the running segment from its last keyframe on. */
  live: z.string().optional(),
});

/**
 * Serves the bytes that a browser's recorder gave, in order of sequence: those that are durable at
 * the moment of the request, so also while the recording goes on.
 */
export function sourceRoutes({ engine, store, live, viewerBytes, log }: Parts) {
  const openSegment = async (key: TrackKey, wanted: SegmentId | undefined) => {
    const segments = segmentsOf(key, await engine.segments(key.recordingId));
    const newest = segments.at(-1);
    if (newest === undefined) throw new TrackNotFoundError(key.participantId, key.trackId);
    const segmentId = wanted ?? newest.segmentId;
    const reader = segments.some((segment) => segment.segmentId === segmentId)
      ? await store.read(key.recordingId, segmentId)
      : undefined;
    if (reader === undefined) throw new SegmentNotFoundError(segmentId);
    return reader;
  };

  return new Elysia({ name: "source-routes" })
    .get(
      SOURCE_ROUTE,
      async ({ params, query, request, server }) => {
        if (query.live !== undefined) {
          // A call can be paused for longer than a connection may stand still.
          const keepOpen = (): void => server?.timeout(request, LIVE_IDLE_SECONDS);
          return liveAnswer(await live.open(params, keepOpen));
        }
        const reader = await openSegment(params, query.segmentId);
        return answer(reader, viewerBytes, query.download, (sequence) => {
          log.error({ ...reader.description, sequence }, "stored chunk is damaged");
        });
      },
      {
        params: trackParamsSchema,
        query: sourceQuerySchema,
        detail: operation({
          tag: "Media",
          summary: "The original bytes of a track's segment, also while it is being recorded",
          description:
            "The newest segment, unless `segmentId` names another. With `live`, the running segment " +
            "is followed as it becomes durable, from its last keyframe on, as WebM or fragmented " +
            "MP4 whose content type Media Source Extensions take: the newest one, or an older one " +
            "that still gets chunks when the newest is complete or silent. It ends when the segment " +
            "does; ask again for the next one.",
          answers: { 200: { means: "The bytes", body: { type: "application/octet-stream" } } },
          problems: [404, 409, 422, 503],
        }),
      },
    )
    .head(
      SOURCE_ROUTE,
      async ({ params, query }) => {
        const reader = await openSegment(params, query.segmentId);
        await reader.close();
        return new Response(null, {
          headers: {
            ...headersOf(reader, containerOf(reader), query.download),
            // What is stored at this moment; damaged chunks are found, and left out, by a GET alone.
            "content-length": String(reader.state.bytes),
          },
        });
      },
      { params: trackParamsSchema, query: sourceQuerySchema, detail: { hide: true } },
    );
}

function liveAnswer({ contentType, segmentId, body }: LiveStream): Response {
  return new Response(body, {
    headers: {
      "content-type": contentType,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-segment-id": segmentId,
    },
  });
}

async function answer(
  reader: SegmentReader,
  viewerBytes: ViewerBytes,
  download: string | undefined,
  onDamaged: (sequence: number) => void,
): Promise<Response> {
  const holding = viewerBytes.open();
  const release = (): Promise<void> => {
    holding[Symbol.dispose]();
    return reader.close();
  };
  try {
    holding.require(CHUNKS_HELD * largestChunkBytes(reader));
    const payloads = reader.payloads(onDamaged)[Symbol.asyncIterator]();
    const first = await payloads.next();
    const header = first.done === true ? undefined : containerOfHeader(first.value);
    const body = streamOf(withFirst(first, payloads), release);
    return new Response(body, {
      headers: headersOf(reader, containerOf(reader) ?? header, download),
    });
  } catch (error) {
    await release();
    throw error;
  }
}

function largestChunkBytes(reader: SegmentReader): number {
  let largest = 0;
  for (const sequence of reader.state.sequences) {
    largest = Math.max(largest, reader.byteLengthOf(sequence) ?? 0);
  }
  return largest;
}

/** An iterator that gives once more what was already taken from it. */
async function* withFirst<T>(
  first: IteratorResult<T>,
  rest: AsyncIterator<T>,
): AsyncGenerator<T, void, undefined> {
  for (let result = first; result.done !== true; result = await rest.next()) yield result.value;
}

/** The container that the client named; undefined when it named none that we know. */
function containerOf({ description }: SegmentReader): Container | undefined {
  const container = containerOfMimeType(description.mimeType);
  return container === "unsupported" ? undefined : container;
}

function headersOf(
  { description }: SegmentReader,
  container: Container | undefined,
  download: string | undefined,
): Record<string, string> {
  const { type, extension } = formatOf(container);
  const { participantId, trackId, segmentId } = description;
  const fileName = safeFileName([participantId, trackId, segmentId.slice(0, 8)], extension);
  return {
    "content-type": type,
    "content-disposition": contentDisposition(
      download === undefined ? "inline" : "attachment",
      fileName,
    ),
    "cache-control": "no-store",
    // Participants choose these bytes: no browser may take them for a page of this server.
    "x-content-type-options": "nosniff",
  };
}

function formatOf(container: Container | undefined): { type: string; extension: string } {
  switch (container) {
    case "matroska":
      return { type: "video/x-matroska", extension: "mkv" };
    case "mp4":
      return { type: "video/mp4", extension: "mp4" };
    case undefined:
      return { type: "application/octet-stream", extension: "bin" };
  }
}
