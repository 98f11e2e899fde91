import { Elysia } from "elysia";
import type { Logger } from "pino";

/** Logs every answer at level `debug`; costs nothing at the others. */
export function accessLog({ log }: { readonly log: Logger }) {
  const plugin = new Elysia({ name: "access-log" });
  if (!log.isLevelEnabled("debug")) return plugin;
  return plugin
    .onAfterResponse(({ request, set, responseValue }) => {
      const status = responseValue instanceof Response ? responseValue.status : set.status;
      log.debug({ method: request.method, url: request.url, status: status ?? 200 }, "answered");
    })
    .as("global");
}
