import pino from "pino";
import { readConfig } from "../../src/config.ts";
import { requestBodyLimits } from "../../src/configured-limits.ts";
import { type AppParts, createApp } from "../../src/http/app.ts";
import { buildClientAssets } from "../../src/http/client-assets.ts";
import { Intake } from "../../src/http/intake.ts";
import { SystemClock } from "../../src/system-clock.ts";

/** The app without anything behind its routes, to look at them and at what runs before them. */
export async function appWithoutParts(given: Partial<AppParts> = {}) {
  const config = readConfig({});
  const parts: Partial<AppParts> = {
    assets: await buildClientAssets(),
    clock: new SystemClock(),
    log: pino({ level: "silent" }),
    allowedOrigins: config.ALLOWED_ORIGINS,
    limits: requestBodyLimits(config),
    intake: new Intake(),
    ...given,
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- no route is called
  return createApp(parts as AppParts);
}
