import { z } from "zod";
import {
  participantIdSchema,
  recordingIdSchema,
  segmentIdSchema,
  trackIdSchema,
} from "../contract/ids.ts";

/** Path parameters of everything below one recording. */
export const recordingParamsSchema = z.object({ recordingId: recordingIdSchema });

/** Path parameters of one segment. */
export const segmentParamsSchema = recordingParamsSchema.extend({ segmentId: segmentIdSchema });

/** Path parameters of one track. */
export const trackParamsSchema = recordingParamsSchema.extend({
  participantId: participantIdSchema,
  trackId: trackIdSchema,
});
