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
  /** Bytes that can still be written there. */
  freeBytes(): Promise<number>;
  /** So many must be free for a recording to start. */
  readonly freeSpaceBytesMin: number;
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
  storage: z.object({
    writable: z.boolean(),
    /** Null when the file system does not tell. */
    freeBytes: z.number().nullable(),
    /** False when so little is free that no recording is started; those that run go on. */
    takesNewRecordings: z.boolean(),
  }),
  catalogue: z.object({ answering: z.boolean() }),
  ffmpeg: z.object({ path: z.string(), source: z.string(), version: z.string() }),
});

/**
 * Whether the process lives, and whether it can do its work. A server that has too little space for new
 * recordings is ready all the same: whoever keeps traffic away from a server that is not would cut off
 * the uploads of those that run, for which the space is kept.
 */
export function healthRoutes({ ffmpeg, readiness, log }: Parts) {
  const tried = async <T>(name: string, check: Promise<T>): Promise<T | null> => {
    try {
      return await check;
    } catch (error) {
      log.warn({ err: error, check: name }, "readiness check failed");
      return null;
    }
  };
  const holds = async (name: string, check: Promise<void>): Promise<boolean> =>
    (await tried(
      name,
      check.then(() => true),
    )) ?? false;

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
        const [writable, answering, freeBytes] = await Promise.all([
          holds("storage", readiness.storageWritable()),
          holds("catalogue", readiness.catalogueAnswering()),
          tried("free space", readiness.freeBytes()),
        ]);
        const takesNewRecordings = (freeBytes ?? 0) >= readiness.freeSpaceBytesMin;
        const parts = {
          storage: { writable, freeBytes, takesNewRecordings },
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
