import { z } from "zod";

/** The server's clock at the moment of the answer. */
export const serverTimeSchema = z.object({
  now: z.iso.datetime(),
  /** The same instant in milliseconds since the epoch. */
  nowMs: z.number(),
});
export type ServerTime = z.infer<typeof serverTimeSchema>;
