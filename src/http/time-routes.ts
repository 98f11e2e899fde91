import { Elysia } from "elysia";
import { serverTimeSchema, type ServerTime } from "../contract/time.ts";
import type { Clock } from "../recording/ports.ts";
import { jsonOutput, operation } from "./operation-detail.ts";

/** The server's clock, from which clients estimate their offset. */
export function timeRoutes({ clock }: { readonly clock: Clock }) {
  return new Elysia({ name: "time-routes" }).get(
    "/api/time",
    (): ServerTime => {
      const nowMs = clock.nowMs();
      return { now: new Date(nowMs).toISOString(), nowMs };
    },
    {
      detail: operation({
        tag: "Server",
        summary: "The server's clock",
        answers: { 200: { means: "Now", body: jsonOutput(serverTimeSchema) } },
      }),
    },
  );
}
