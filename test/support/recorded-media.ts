import { readdir, readFile } from "node:fs/promises";
import { z } from "zod";

const mediaUrl = new URL("../fixtures/media/", import.meta.url);

/** The recordings in `chunks/`, as a browser's MediaRecorder gave them. */
export const RECORDED_NAMES = [
  "audio-opus",
  "av1-opus",
  "h264-opus",
  "h264-opus-paused",
  "mp4-vp9-opus",
  "vp8-opus",
  "vp9-opus",
] as const;
export type RecordedName = (typeof RECORDED_NAMES)[number];

const metaSchema = z.object({
  /** `MediaRecorder.mimeType`, read after its start. */
  mimeType: z.string(),
  requested: z.string(),
  chunks: z.array(
    z.object({
      sequence: z.int(),
      bytes: z.int(),
      /** When the chunk was handed over, in milliseconds since the recorder's start. */
      atMs: z.number(),
      /** `BlobEvent.timecode`: the wall time of its begin, in milliseconds since the first one. */
      timecode: z.number(),
      sha256: z.string(),
    }),
  ),
});

/** One chunk exactly as a MediaRecorder gave it. */
export interface RecordedChunk {
  readonly sequence: number;
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Hexadecimal. */
  readonly sha256: string;
  readonly atMs: number;
}

/** A run of a real MediaRecorder. */
export interface RecordedSegment {
  readonly mimeType: string;
  /** In order of sequence, from 0 and without a gap. */
  readonly chunks: readonly RecordedChunk[];
}

/** Reads one of the recordings; throws when a file does not have the size that `meta.json` tells. */
export async function recordedSegment(name: RecordedName): Promise<RecordedSegment> {
  const folder = new URL(`chunks/${name}/`, mediaUrl);
  const meta = metaSchema.parse(await Bun.file(new URL("meta.json", folder)).json());
  const chunks = await Promise.all(
    meta.chunks.map(async ({ sequence, bytes, sha256, atMs }) => {
      const file = new URL(`${String(sequence).padStart(3, "0")}.chunk`, folder);
      const payload = new Uint8Array(await readFile(file));
      if (payload.byteLength !== bytes) {
        throw new RangeError(`${file.pathname} has ${payload.byteLength} bytes, not ${bytes}`);
      }
      return { sequence, payload, sha256, atMs };
    }),
  );
  return { mimeType: meta.mimeType, chunks };
}

/** The playable file that a recording's chunks are in order of sequence. */
export function joinChunks(
  chunks: readonly { readonly payload: Uint8Array<ArrayBuffer> }[],
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(chunks.map(({ payload }) => payload)));
}

/** A file of `bad/`: broken or hostile Matroska or WebM. */
export interface BadMedia {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Reads all files of `bad/`, in order of name. */
export async function badMedia(): Promise<BadMedia[]> {
  const folder = new URL("bad/", mediaUrl);
  const names = (await readdir(folder)).toSorted();
  return Promise.all(
    names.map(async (name) => ({
      name,
      bytes: new Uint8Array(await readFile(new URL(name, folder))),
    })),
  );
}
