import { Elysia } from "elysia";
import type { Logger } from "pino";
import type { ArrivalNumbering } from "../recording/arrival-numbering.ts";
import type { Catalog, ChunkStore, Clock } from "../recording/ports.ts";
import type { RecordingEngine } from "../recording/recording-engine.ts";
import type { ViewerBytes } from "../recording/viewer-bytes.ts";
import type { LiveView } from "../live/live-view.ts";
import { accessLog } from "./access-log.ts";
import type { Route } from "./allowed-methods.ts";
import { BodyReader, type RequestBodyLimits } from "./body-reader.ts";
import { chunkRoutes } from "./chunk-routes.ts";
import type { ClientAsset } from "./client-assets.ts";
import { clientRoutes } from "./client-routes.ts";
import { downloadRoutes, type RecordingPaths } from "./download-routes.ts";
import { exactTarget } from "./exact-target.ts";
import { exportFileRoutes, exportRoutes, type ExportPaths, type Exports } from "./export-routes.ts";
import { type ExtrasMaker, type ExtrasPaths, trackExtrasRoutes } from "./track-extras-routes.ts";
import { hostAndOriginGate } from "./host-and-origin-gate.ts";
import { guideRoutes } from "./guide-routes.ts";
import { healthRoutes, type FfmpegIdentity, type ReadinessChecks } from "./health-routes.ts";
import { type Intake, intakeGate } from "./intake.ts";
import { mediaRoutes } from "./media-routes.ts";
import { openapiRoutes } from "./openapi-routes.ts";
import { problems } from "./problems.ts";
import { recordingRoutes, type Retrier } from "./recording-routes.ts";
import { RequestBodies } from "./request-bodies.ts";
import { segmentRoutes } from "./segment-routes.ts";
import { sourceRoutes } from "./source-routes.ts";
import { timeRoutes } from "./time-routes.ts";

/** What the HTTP side is made of. */
export interface AppParts {
  readonly engine: RecordingEngine;
  readonly numbering: ArrivalNumbering;
  readonly store: ChunkStore;
  readonly catalog: Catalog;
  readonly live: LiveView;
  readonly viewerBytes: ViewerBytes;
  readonly retrier: Retrier;
  readonly exports: Exports;
  readonly paths: RecordingPaths & ExportPaths & ExtrasPaths;
  readonly extras: ExtrasMaker;
  readonly ffmpeg: FfmpegIdentity;
  readonly readiness: ReadinessChecks;
  readonly assets: readonly ClientAsset[];
  readonly clock: Clock;
  readonly intake: Intake;
  readonly limits: RequestBodyLimits;
  /** Whose pages may use the server, beside those of loopback addresses. */
  readonly allowedOrigins: readonly string[];
  readonly log: Logger;
}

/**
 * A connection on which nothing moves for so long is closed. Bun counts it from the beginning of a
 * request, so it is also the longest time that a busy disk may hold an answer back.
 */
export const IDLE_TIMEOUT_SECONDS = 120;

/** Assembles all routes; it does not listen. */
export async function createApp(parts: AppParts) {
  const reader = new BodyReader(parts.limits, (request): void => {
    app.server?.timeout(request, IDLE_TIMEOUT_SECONDS);
  });
  const bodies = new RequestBodies(reader);
  const routes = (): readonly Route[] => app.routes;
  const app = new Elysia({
    name: "track-capture",
    // Elysia's default looks for the path from the 11th character of the URL, which a short host does
    // not reach: of http://a/client/api/recordings it would take /api/recordings.
    handler: { standardHostname: false },
  })
    .use(problems({ ...parts, routes }))
    // Before all others: also while the server is stopping.
    .use(hostAndOriginGate(parts))
    .use(intakeGate(parts.intake))
    .use(exactTarget(routes))
    .use(accessLog(parts))
    .use(recordingRoutes({ ...parts, bodies }))
    .use(chunkRoutes({ ...parts, bodies }))
    .use(segmentRoutes({ ...parts, bodies }))
    .use(mediaRoutes(parts))
    .use(trackExtrasRoutes(parts))
    .use(sourceRoutes(parts))
    .use(downloadRoutes(parts))
    .use(exportRoutes({ ...parts, bodies }))
    .use(exportFileRoutes(parts))
    .use(guideRoutes({ ...parts, bodies }))
    .use(timeRoutes(parts))
    .use(healthRoutes(parts))
    .use(clientRoutes(parts.assets, parts.clock.nowMs()))
    .use(await openapiRoutes());
  return app;
}
