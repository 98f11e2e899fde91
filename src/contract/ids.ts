import { z } from "zod";

/** Longest `participantId`, `trackId` and `name`, in Unicode code points. */
export const APP_WORD_CODE_POINTS_MAX = 128;

// Control (Cc), private use (Co) and surrogate (Cs) code points, noncharacters and line separators are
// not printable; format characters (Cf, such as the joiner inside an emoji) are. Unicode never changes
// these sets. Unassigned code points (Cn) are allowed: each version of Unicode assigns some of them, and
// an ID that one server or browser accepts must be readable for all others.
const UNPRINTABLE = /[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\p{Zl}\p{Zp}]/u;

const appWord = (field: string) =>
  z.string().refine((text) => {
    // `text.length` counts UTF-16 units, of which a code point has at most two.
    if (text.length === 0 || text.length > 2 * APP_WORD_CODE_POINTS_MAX) return false;
    // URLs lose `.` and `..` as path segments, however they are encoded (WHATWG URL, "double-dot").
    if (text === "." || text === "..") return false;
    return Array.from(text).length <= APP_WORD_CODE_POINTS_MAX && !UNPRINTABLE.test(text);
  }, `${field} must be 1 to ${APP_WORD_CODE_POINTS_MAX} characters of printable Unicode, and neither "." nor ".."`);

/** Made by the server (UUID version 7, so IDs sort by the time of their start). */
export const recordingIdSchema = z.uuid().toLowerCase().brand<"RecordingId">();
export type RecordingId = z.infer<typeof recordingIdSchema>;

/** The app's own word for who sends: 1 to 128 printable characters, such as an e-mail address. */
export const participantIdSchema = appWord("participantId").brand<"ParticipantId">();
export type ParticipantId = z.infer<typeof participantIdSchema>;

/** The app's own word for what is sent: `camera`, `screen`, `microphone` or any other. */
export const trackIdSchema = appWord("trackId").brand<"TrackId">();
export type TrackId = z.infer<typeof trackIdSchema>;

/** Made by the client: one UUID for each run of a recorder. */
export const segmentIdSchema = z
  .uuid("segmentId must be a UUID")
  .toLowerCase()
  .brand<"SegmentId">();
export type SegmentId = z.infer<typeof segmentIdSchema>;

/** The track that chunks belong to when the client names none. */
export const DEFAULT_TRACK_ID = "camera";
