import { z } from "zod";

/** Every way in which a request can fail, as a client may branch on it. */
export const problemCodeSchema = z.enum([
  "invalid-request",
  "invalid-host",
  "misdirected-request",
  "foreign-origin",
  "method-not-allowed",
  "precondition-failed",
  "unreadable-body",
  "body-timeout",
  "unsupported-media-type",
  "unsupported-content-encoding",
  "not-found",
  "recording-not-found",
  "segment-not-found",
  "track-not-found",
  "media-not-ready",
  "range-not-satisfiable",
  "recording-in-progress",
  "nothing-to-retry",
  "not-live",
  "live-unsupported",
  "nothing-to-export",
  "export-not-found",
  "export-file-not-found",
  "export-conflict",
  "chunk-conflict",
  "chunk-malformed",
  "chunk-hash-mismatch",
  "chunk-too-large",
  "recording-closed",
  "over-quota",
  "overloaded",
  "server-stopping",
  "storage-full",
  "storage-failed",
  "internal",
]);
export type ProblemCode = z.infer<typeof problemCodeSchema>;

/** RFC 9457 problem details: the body of every answer of status 400 and above. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: problemCodeSchema,
  detail: z.string(),
  /** The values of the request that do not fit, with where they stand. */
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});
export type Problem = z.infer<typeof problemSchema>;
