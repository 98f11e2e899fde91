import type { SpooledChunk } from "../../../../client/recorder/spool/chunk-spool.ts";
import { MemorySpool } from "../../../../client/recorder/spool/memory-spool.ts";
import {
  ChunkUploader,
  type ChunkUploaderEvents,
} from "../../../../client/recorder/upload/chunk-uploader.ts";
import { IngestApi } from "../../../../client/recorder/upload/ingest-api.ts";
import { ManualClock } from "../../../support/manual-clock.ts";
import type { ScriptedServer } from "../scripted-server.ts";

/** Of the chunks of a test, unless it names another one. */
export const SEGMENT_ID = "0b6fd2e0-8a40-4c6a-9a2e-0d3f8b0c1a2b";

/** A chunk with a payload that names it. */
export function chunk(sequence: number, text = `chunk ${sequence};`, segmentId = SEGMENT_ID) {
  return {
    recordingId: "recording",
    participantId: "zoë@example.org 🎥",
    trackId: "camera",
    segmentId,
    sequence,
    payload: new Blob([text]),
    mimeType: "video/webm",
    beganAtMs: 1_000 * sequence,
    clockOffsetMs: null,
    durationMs: 1_000,
    marks: [],
  } satisfies SpooledChunk;
}

/** An uploader for a server, whose clock the test turns and whose jitter is always the longest. */
export function uploaderFor(server: ScriptedServer, parallelUploads = 3, serverUrl = server.url) {
  const clock = new ManualClock();
  const spool = new MemorySpool();
  const api = new IngestApi({
    serverUrl,
    fetch: (url, init) => fetch(url, init),
    clock,
    clockOffsetMs: () => 500,
  });
  const uploader = new ChunkUploader({ spool, api, clock, parallelUploads, random: () => 1 });
  const seen: { [Name in keyof ChunkUploaderEvents]: ChunkUploaderEvents[Name][] } = {
    kept: [],
    acknowledged: [],
    ended: [],
    retry: [],
    pieces: [],
    refused: [],
    failed: [],
  };
  uploader.events.on("acknowledged", (event) => seen.acknowledged.push(event));
  uploader.events.on("ended", (event) => seen.ended.push(event));
  uploader.events.on("retry", (event) => seen.retry.push(event));
  uploader.events.on("pieces", (event) => seen.pieces.push(event));
  uploader.events.on("refused", (event) => seen.refused.push(event));
  uploader.events.on("failed", (event) => seen.failed.push(event));
  return { uploader, spool, clock, seen };
}

/** The next event of this name. */
export function next<Name extends keyof ChunkUploaderEvents>(
  uploader: ChunkUploader,
  name: Name,
): Promise<ChunkUploaderEvents[Name]> {
  return new Promise((resolve) => {
    const off = uploader.events.on(name, (event) => {
      off();
      resolve(event);
    });
  });
}

/** What the server has of a segment, as text. */
export function textOf(server: ScriptedServer, segmentId = SEGMENT_ID): string {
  const segment = server.segments.get(segmentId);
  return segment === undefined ? "" : new TextDecoder().decode(server.bytesOf(segment));
}
