import { z } from "zod";

/** Most points of a waveform, however long its track is. */
export const WAVEFORM_POINTS_MAX = 4_000;

const levels = z.array(z.number().min(0).max(1)).max(WAVEFORM_POINTS_MAX);

/**
 * How loud a track is over its time, for drawing: point i stands for the `stepMs` from `i * stepMs` of
 * its MP4 on. 1 is full scale.
 */
export const waveformSchema = z.object({
  stepMs: z.int().positive(),
  /** Largest amplitude within the step. */
  peaks: levels,
  /** Root of the mean square within the step; as many as `peaks`. */
  rms: levels,
});
export type Waveform = z.infer<typeof waveformSchema>;
