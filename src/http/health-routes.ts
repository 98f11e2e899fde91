import { Elysia } from "elysia";
import type { Logger } from "pino";
import { z } from "zod";
import { StorageFailedError } from "../recording/errors.ts";
import { jsonOutput, operation } from "./operation-detail.ts";
import { problemResponse } from "./problems.ts";

/** The ffmpeg that serves. */
export interface FfmpegIdentity {
  readonly path: string;
  readonly source: string;
  readonly version: string;
}

/** What must work for the server to be of use; each rejects when it does not. */
export interface ReadinessChecks {
  /** Makes a file durable where recordings are kept. */
  storageWritable(): Promise<void>;
  /** Asks the catalogue something. */
  catalogueAnswering(): Promise<void>;
}

interface Parts {
  readonly ffmpeg: FfmpegIdentity;
  readonly readiness: ReadinessChecks;
  readonly log: Logger;
}

const healthSchema = z.object({ status: z.literal("ok") });

const readinessSchema = z.object({
  status: z.literal("ready"),
  storage: z.object({ writable: z.boolean() }),
  catalogue: z.object({ answering: z.boolean() }),
  ffmpeg: z.object({ path: z.string(), source: z.string(), version: z.string() }),
});

/** Whether the process lives, and whether it can do its work. */
export function healthRoutes({ ffmpeg, readiness, log }: Parts) {
  const holds = async (name: string, check: Promise<void>): Promise<boolean> => {
    try {
      await check;
      return true;
    } catch (error) {
      log.warn({ err: error, check: name }, "readiness check failed");
      return false;
    }
  };

  return new Elysia({ name: "health-routes" })
    .get("/healthz", (): z.output<typeof healthSchema> => ({ status: "ok" }), {
      detail: operation({
        tag: "Server",
        summary: "Liveness",
        answers: { 200: { means: "The process lives", body: jsonOutput(healthSchema) } },
      }),
    })
    .get(
      "/readyz",
      async () => {
        const [writable, answering] = await Promise.all([
          holds("storage", readiness.storageWritable()),
          holds("catalogue", readiness.catalogueAnswering()),
        ]);
        const parts = {
          storage: { writable },
          catalogue: { answering },
          ffmpeg: { path: ffmpeg.path, source: ffmpeg.source, version: ffmpeg.version },
        };
        if (writable && answering) return { status: "ready" as const, ...parts };
        const broken = [writable ? [] : "storage", answering ? [] : "catalogue"].flat();
        return problemResponse(new StorageFailedError(`Not working: ${broken.join(", ")}.`), parts);
      },
      {
        detail: operation({
          tag: "Server",
          summary: "Readiness, and which ffmpeg serves",
          answers: { 200: { means: "Ready", body: jsonOutput(readinessSchema) } },
          problems: [503],
        }),
      },
    );
}
