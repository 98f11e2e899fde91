import { z } from "zod";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "./ids.ts";

/** Made by the server (UUID version 7, so IDs sort by the time of their request). */
export const exportIdSchema = z.uuid().toLowerCase().brand<"ExportId">();
export type ExportId = z.infer<typeof exportIdSchema>;

/** Frames in a second of pictures at a constant rate. */
const frameRateSchema = z.int().min(15).max(60);

/** Where no rate is asked for. */
const FRAME_RATE_DEFAULT = 30;

/**
 * Every track as a file that begins at the recording's zero and has its length.
 *
 * - `edit-list`: what was recorded is copied, and an edit list puts it in its place; nothing loses
 *   quality, and players of all kinds heed it.
 * - `media`: black pictures and silence are in the file itself, for editors that heed no edit lists.
 *   Like `compatible`, this encodes anew.
 */
const alignedRequestSchema = z.strictObject({
  kind: z.literal("aligned"),
  padding: z.enum(["edit-list", "media"]).default("edit-list"),
});
export type AlignedRequest = z.infer<typeof alignedRequestSchema>;

/**
 * Every track as H.264 (High, 4:2:0) at a constant rate and size, with AAC at 48 kHz, for editors and
 * QuickTime; each begins at the recording's zero and has its length.
 */
const compatibleRequestSchema = z.strictObject({
  kind: z.literal("compatible"),
  frameRate: frameRateSchema.default(FRAME_RATE_DEFAULT),
});
export type CompatibleRequest = z.infer<typeof compatibleRequestSchema>;

/**
 * The sound of each participant, of all tracks together, once without loss and once as M4A (AAC); each
 * begins at the recording's zero and has its length.
 */
const audioRequestSchema = z.strictObject({
  kind: z.literal("audio"),
  lossless: z.enum(["flac", "wav"]).default("flac"),
});
export type AudioRequest = z.infer<typeof audioRequestSchema>;

/** What can be asked of a composite; it is 16:9. */
export const compositeOptionsSchema = z.strictObject({
  /** In pixels. */
  height: z.literal([360, 540, 720, 1_080]).default(720),
  frameRate: z.literal([15, 24, 25, 30, 50, 60]).default(FRAME_RATE_DEFAULT),
});
export type CompositeOptions = z.infer<typeof compositeOptionsSchema>;

/**
 * One picture of the whole call: participants in a grid as they come and go, a shared screen large
 * beside them, their names, and the sound of all.
 */
const compositeRequestSchema = compositeOptionsSchema.extend({ kind: z.literal("composite") });

const requestSchemas = [
  alignedRequestSchema,
  compatibleRequestSchema,
  audioRequestSchema,
  compositeRequestSchema,
] as const;

/** Every kind of export. */
const EXPORT_KINDS = ["aligned", "compatible", "audio", "composite"] as const;

const exportKindSchema = z.enum(EXPORT_KINDS);

/** The body of `POST /api/recordings/{recordingId}/exports`: a kind and its options. */
export const exportRequestSchema = z.discriminatedUnion("kind", requestSchemas, {
  error: (issue) =>
    issue.code === "invalid_union" ? `kind must be one of ${EXPORT_KINDS.join(", ")}` : undefined,
});
export type ExportRequest = z.infer<typeof exportRequestSchema>;

/** `queued` and `running` ones go on after a restart of the server; the others have ended. */
export const exportStateSchema = z.enum(["queued", "running", "done", "failed", "cancelled"]);
export type ExportState = z.infer<typeof exportStateSchema>;

/** A file of a finished export. */
const exportFileSchema = z.object({
  /** Unique in its export, such as `ada-camera.mp4`. */
  name: z.string(),
  /** Path of the download, from the server's root. */
  url: z.string(),
  bytes: z.int(),
  mediaType: z.string(),
  /** Whose it is; null for one of all. */
  participantId: participantIdSchema.nullable(),
  trackId: trackIdSchema.nullable(),
  durationMs: z.number(),
  /** What of it is not as it was asked for, in sentences; mostly none. */
  notes: z.array(z.string()),
});

const isoTime = z.iso.datetime();

/** An export of a recording. */
export const exportSchema = z.object({
  exportId: exportIdSchema,
  recordingId: recordingIdSchema,
  kind: exportKindSchema,
  /** As they hold, those that were not given included. */
  options: z.record(z.string(), z.json()),
  state: exportStateSchema,
  /** Share that is done, 0 to 1. */
  progress: z.number(),
  /** Why it failed, or why its last try did, in a sentence; null otherwise. */
  reason: z.string().nullable(),
  createdAt: isoTime,
  endedAt: isoTime.nullable(),
  /** Of a `done` one; empty before. */
  files: z.array(exportFileSchema),
  /** Whether a better MP4 has come since, or one of another track, that is not in it. */
  isOutdated: z.boolean(),
});
export type Export = z.infer<typeof exportSchema>;

/** All exports of a recording, newest first. */
export const exportListSchema = z.object({ exports: z.array(exportSchema) });
export type ExportList = z.infer<typeof exportListSchema>;
