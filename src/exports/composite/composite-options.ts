import { z } from "zod";

/** What can be asked of a composite; a grid of the usual shape (16:9). */
export const compositeOptionsSchema = z.object({
  /** In pixels. */
  height: z.literal([360, 540, 720, 1_080]).default(720),
  /** Pictures in a second. */
  frameRate: z.literal([15, 24, 25, 30, 50, 60]).default(30),
});
export type CompositeOptions = z.infer<typeof compositeOptionsSchema>;
