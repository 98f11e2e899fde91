import { z } from "zod";

/**
 * - `right`: complete, and all is there.
 * - `degraded`: the server says that something is missing, and it is; all else is there.
 * - `failed`: there is no file.
 * - `wrong`: anything else.
 */
const outcomeSchema = z.enum(["right", "degraded", "failed", "wrong"]);
export type Outcome = z.infer<typeof outcomeSchema>;

/** What came of one export. */
const exportJudgementSchema = z.object({
  kind: z.string(),
  /** Everything that is not as it should be; empty for one that is right. */
  findings: z.array(z.string()),
});
export type ExportJudgement = z.infer<typeof exportJudgementSchema>;

/** What came of a case. */
const caseResultSchema = z.object({
  name: z.string(),
  container: z.string(),
  video: z.string(),
  sound: z.string(),
  outcome: outcomeSchema,
  /** The server's words. */
  verdict: z.string(),
  reason: z.string().nullable(),
  action: z.string(),
  findings: z.array(z.string()),
  /** Whether ffmpeg decodes anything of what was sent. */
  isDecodable: z.boolean(),
  /** What the source itself is in doubt of; such a case may be judged wrongly. */
  doubts: z.array(z.string()),
  exports: z.array(exportJudgementSchema),
});
export type CaseResult = z.infer<typeof caseResultSchema>;

/** The results of a run, as `--json` writes them. */
export const caseResultsSchema = z.array(caseResultSchema);
