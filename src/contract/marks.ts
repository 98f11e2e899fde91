import { z } from "zod";

/** Most marks that one chunk may bring: a page that changes more often within a second is broken. */
export const MARKS_PER_CHUNK_MAX = 64;

/** Milliseconds since the epoch on the server's clock. */
const instantMs = z.number().min(0).max(8.64e15);

/** Picture or sound. */
export const streamKindSchema = z.enum(["video", "audio"]);
export type StreamKind = z.infer<typeof streamKindSchema>;

/**
 * Something that happened to a segment while it was recorded and that its bytes do not tell. It
 * travels with the chunk during whose slice it happened, and is as durable as that chunk.
 *
 * - `began`: the recorder was started. `pictures` tells whether the source gives pictures all the time
 *   (a camera) or only when something changes (a shared screen, a canvas); null without pictures.
 * - `paused`, `resumed`: the recorder was paused; its media time stands still meanwhile.
 * - `muted`, `unmuted`: a track of the stream gave black or silence, by `enabled` or by the system.
 * - `stalled`: the app's stream has such a track, but it gives nothing: from now on this segment does
 *   not record it. Pictures of a source that rests are not marked so.
 * - `hidden`, `visible`: the page was not shown, so browsers slow it down.
 * - `frozen`: the page's main thread stood still from `atMs` to `toMs`.
 * - `device-changed`: another device gives this stream from now on, within the same segment.
 * - `ended`: the recorder was stopped; it comes with the last chunk.
 */
export const markSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("began"),
    atMs: instantMs,
    /** Why the segment was begun, such as `start` or `tracks-changed`. */
    reason: z.string().max(64),
    pictures: z.enum(["continuous", "on-change"]).nullable(),
  }),
  z.object({ type: z.literal("paused"), atMs: instantMs }),
  z.object({ type: z.literal("resumed"), atMs: instantMs }),
  z.object({ type: z.literal("muted"), atMs: instantMs, stream: streamKindSchema }),
  z.object({ type: z.literal("unmuted"), atMs: instantMs, stream: streamKindSchema }),
  z.object({ type: z.literal("stalled"), atMs: instantMs, stream: streamKindSchema }),
  z.object({ type: z.literal("hidden"), atMs: instantMs }),
  z.object({ type: z.literal("visible"), atMs: instantMs }),
  z.object({ type: z.literal("frozen"), atMs: instantMs, toMs: instantMs }),
  z.object({ type: z.literal("device-changed"), atMs: instantMs, stream: streamKindSchema }),
  z.object({ type: z.literal("ended"), atMs: instantMs }),
]);
export type Mark = z.infer<typeof markSchema>;

/** The marks of one chunk. */
export const marksSchema = z.array(markSchema).max(MARKS_PER_CHUNK_MAX);
