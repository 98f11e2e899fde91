import { createHash } from "node:crypto";

/** A chunk of a track, to be sent by hand. */
export interface RawChunk {
  readonly recordingId: string;
  readonly participantId: string;
  readonly segmentId: string;
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** Whether its hash is sent along; it is by default. */
  readonly withHash?: boolean;
}

/** A whole HTTP request as it goes over the wire. */
export interface RawUpload {
  readonly head: string;
  readonly body: Buffer;
  /** What the body is made of. */
  readonly parts: readonly Uint8Array[];
}

const BOUNDARY = "----TrackCaptureByHand";

/** The upload of one chunk as the client library makes it, in bytes. */
export function rawUpload(chunk: RawChunk): RawUpload {
  const fields = {
    participantId: chunk.participantId,
    segmentId: chunk.segmentId,
    sequence: String(chunk.sequence),
    mimeType: "video/webm",
    ...(chunk.withHash === false ? {} : { sha256_0: sha256Hex(chunk.payload) }),
  };
  const text = Object.entries(fields)
    .map(
      ([name, value]) =>
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    )
    .join("");
  const parts = [
    Buffer.from(
      `${text}--${BOUNDARY}\r\nContent-Disposition: form-data; name="chunk_0"; filename="blob"\r\n\r\n`,
    ),
    chunk.payload,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ];
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  return {
    head: rawHead(chunk.recordingId, `Content-Length: ${bytes}`),
    parts,
    get body() {
      return Buffer.concat(parts);
    },
  };
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The head of a chunk upload. */
export function rawHead(recordingId: string, framing: string): string {
  return (
    `POST /api/recordings/${recordingId}/chunks HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
    `Content-Type: multipart/form-data; boundary=${BOUNDARY}\r\n${framing}\r\n\r\n`
  );
}
