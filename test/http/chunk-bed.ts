import { recordedSegment, type RecordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { chunkFormData, type ChunkFormParts } from "./chunk-form-data.ts";

/** Of the bed's server. */
export const REQUEST_BYTES_MAX = 3 * 1024 * 1024;
/** Of the bed's server. */
export const CHUNK_BYTES_MAX = 1024 * 1024;

/** A server with small limits, and chunks for it. */
export interface ChunkBed {
  /** Whoever opens the bed ends it. */
  readonly server: TrackCaptureServer;
  readonly api: RecordingsApi;
  readonly vp9: RecordedSegment;
  readonly payloadOf: (sequence: number) => Uint8Array<ArrayBuffer>;
  readonly chunksUrl: (recordingId: string) => string;
  /** Uploads a form as it is, right or wrong. */
  readonly post: (recordingId: string, parts: ChunkFormParts) => Promise<Response>;
}

/** Starts the server; one for all tests of a file. */
export async function openChunkBed(): Promise<ChunkBed> {
  const [server, vp9] = await Promise.all([
    startServer({
      env: {
        CHUNK_BYTES_MAX: String(CHUNK_BYTES_MAX),
        REQUEST_BYTES_MAX: String(REQUEST_BYTES_MAX),
      },
    }),
    recordedSegment("vp9-opus"),
  ]);
  const chunksUrl = (recordingId: string) => `${server.url}/api/recordings/${recordingId}/chunks`;
  return {
    server,
    api: new RecordingsApi(server.url),
    vp9,
    chunksUrl,
    payloadOf: (sequence) => {
      const chunk = vp9.chunks[sequence];
      if (chunk === undefined) throw new RangeError(`There is no chunk ${sequence}`);
      return chunk.payload;
    },
    post: (recordingId, parts) =>
      fetch(chunksUrl(recordingId), { method: "POST", body: chunkFormData(parts) }),
  };
}
